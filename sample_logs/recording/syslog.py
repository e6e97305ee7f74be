"""What rsyslogd does for auth.log, and one thing more: it notes which process said each line.

    python syslog.py SOCKET HOST OUTPUT      a JSON object a line: the text and the sender's chain of processes

sudo and su lines name no connection. The kernel tells who sent a message, and the sender's ancestors lead to the sshd
process of its connection. The ancestors must be read before the sender exits, hence a process of its own that goes
before all others.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import sys
from pathlib import Path

_AUTH_FACILITIES = (4, 10)  # auth and authpriv, which Debian writes to auth.log
Process = tuple[int, str]  # number and start time: numbers come again


def _parent(process: int) -> tuple[Process, int]:
    handle = os.open(f"/proc/{process}/stat", os.O_RDONLY)
    fields = os.read(handle, 1024).rpartition(b")")[2].split()
    os.close(handle)
    return (process, fields[19].decode()), int(fields[1])


def ancestors(sender: int, known: dict[Process, list[Process]]) -> list[Process]:
    """The sender, its parent and so on; empty where it is gone already."""
    chain: list[Process] = []
    process = sender
    try:
        while process > 1:
            link, process = _parent(process)
            chain.append(link)
            if link in known:  # also the ancestors an orphan has lost
                chain += known[link][1:]
                break
    except (FileNotFoundError, ProcessLookupError):
        return next((seen for (number, _), seen in reversed(known.items()) if number == sender), [])
    known[chain[0]] = chain
    return chain


def main(path: Path, host: str, output: Path) -> None:
    """Receive for ever."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        os.nice(-20)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    receiver.bind(str(path))
    path.chmod(0o666)
    known: dict[Process, list[Process]] = {}
    with output.open("w", encoding="utf-8", buffering=1) as lines:
        while True:
            data, control, _, _ = receiver.recvmsg(8192, 128)
            chain = ancestors(struct.unpack("3i", control[0][2])[0], known)
            message = re.match(r"<(\d+)>(.*)", data.rstrip(b"\n\0").decode(errors="replace"), re.S)
            if message and int(message[1]) // 8 in _AUTH_FACILITIES:
                text = re.sub(r"[\x00-\x1f]", lambda match: f"#{ord(match[0]):03o}", message[2])  # as rsyslogd does
                lines.write(json.dumps({"text": f"{text[:15]} {host} {text[16:]}", "chain": chain}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
