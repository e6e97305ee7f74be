"""Record the sample logs again: real servers, clients and attack tools on hosts that exist only meanwhile.

    sudo python sample_logs/record.py [web|auth|traffic|all]     four minutes, six to ten, and six
    python sample_logs/record.py counts                          the tables of the README

It runs in mount, network, process and host-name namespaces of its own: nothing outside `sample_logs/` is changed,
and the kernel ends every process and mount with it.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from recording import auth, labels, network, traffic, web

FOLDER = Path(__file__).resolve().parent
SERVICES = {
    "web": (web.record, labels.summary, FOLDER / "web_access"),
    "auth": (auth.record, labels.summary, FOLDER / "auth"),
    "traffic": (traffic.record, traffic.summary, FOLDER / "traffic"),
}
# Debian package of each program the recording starts.
PACKAGES = {
    "apache2": "apache2",
    "php": "libapache2-mod-php php-cli php-sqlite3",
    "htpasswd": "apache2-utils",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "sudo": "sudo",
    "cron": "cron",
    "git": "git",
    "curl": "curl",
    "wget": "wget",
    "nmap": "nmap",
    "hydra": "hydra",
    "sqlmap": "sqlmap",
    "gobuster": "gobuster",
    "tcpdump": "tcpdump",
    "ip": "iproute2",
    # Of the traffic sample only.
    "dnsmasq": "dnsmasq-base",
    "vsftpd": "vsftpd",
    "smtpd": "opensmtpd",
    "rsync": "rsync",
    "redis-server": "redis-server",
    str(traffic.traffic_servers.POSTGRES / "initdb"): "postgresql",
    "dig": "bind9-dnsutils",
    "ping": "iputils-ping",
    "openssl": "openssl",
    "slowhttptest": "slowhttptest",
    "hping3": "hping3",
    "ethtool": "ethtool",
}
log = logging.getLogger("record")


def main() -> None:
    """Check what is needed, then start again inside the namespaces."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", default="all", choices=[*SERVICES, "all", "counts"])
    parser.add_argument("--seed", type=int, default=7, help="of the choices clients make")
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)  # set when started again inside
    arguments = parser.parse_args()
    names = list(SERVICES) if arguments.what in ("all", "counts") else [arguments.what]
    if arguments.what == "counts":
        for name in names:
            _, summary, folder = SERVICES[name]
            log.info("%s\n\n%s\n", name, summary(folder))
    elif arguments.scratch:
        record(names[0], arguments.seed, arguments.scratch)
    else:
        missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
        if missing:
            parser.error(f"needs the Debian packages: apt install {' '.join(missing)}")
        if os.geteuid():
            parser.error("needs root, for network namespaces and servers on their own ports")
        for name in names:
            inside(name, arguments.seed)


def inside(name: str, seed: int) -> None:
    """Start this script again where no process, mount or network of the machine can be touched."""
    scratch = Path(tempfile.mkdtemp(prefix="record-"))
    unshare = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [sys.executable, __file__, name, "--seed", str(seed), "--scratch", str(scratch)]
    # The environment is written anew so that nothing of the caller's reaches a log.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "LANG": "C.UTF-8", "HOME": str(scratch)}
    try:
        subprocess.run([*unshare, *command], check=True, env=environment)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    finally:
        scratch.rmdir()  # only a mount point: what was mounted there went with the namespace


def record(name: str, seed: int, scratch: Path) -> None:
    """Record one service; we are inside."""
    recorder, summary, folder = SERVICES[name]
    network.open_bridge()
    root = network.private_root(scratch)
    recorder(root, scratch, folder, seed)
    log.info("%s\n\n%s", name, summary(folder))


if __name__ == "__main__":
    main()
