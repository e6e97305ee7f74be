"""Connect from a chosen address and port and pass the socket on: ssh cannot choose its source port itself.

ssh -o ProxyUseFdpass=yes -o ProxyCommand="python -IS connect.py ADDRESS PORT %h %p"
"""

import socket
import sys

address, port, host, host_port = sys.argv[1:]
connection = socket.create_connection((host, int(host_port)), 10, (address, int(port)))
socket.send_fds(socket.socket(fileno=1), [b"\0"], [connection.fileno()])
