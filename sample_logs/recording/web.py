"""The web sample: a shop behind Apache httpd, its customers, and who else comes by."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from recording import web_attacks, web_clients
from recording.labels import Line, Truth, write_split
from recording.network import Crew, Host, Phase, run, wait_for

SERVER = "192.0.2.10"
SNAP_LENGTH = 176  # headers and the start of the request or answer
# Lines to record and the longest a split may take, in seconds.
SPLITS = {"train": (6000, 150), "val": (2500, 90), "test": (5000, 150)}
LOG = "var/log/apache2/access.log"


def record(root: Path, scratch: Path, folder: Path, seed: int) -> None:
    """Record the three splits, one after the other, from one running server."""
    server = Host("shop", [SERVER])
    start_apache(root, server)
    log = root / LOG
    truth = Truth()
    places = {name: Host(name, addresses) for name, addresses in web_clients.PLACES.items()}
    places["attacker"] = Host("attacker", web_attacks.ADDRESSES)
    done = 0
    for split, (target, seconds) in SPLITS.items():
        capture = scratch / f"{split}.pcap"
        tcpdump = server.capture(capture, 80, SNAP_LENGTH)
        phase = Phase(split, target, seconds, lambda: _count(log))
        crew = Crew()
        web_clients.start(crew, places, phase, truth, seed)
        if split != "train":
            web_attacks.start(crew, places["attacker"], phase, truth, scratch)
        crew.join()
        time.sleep(4)  # connections kept alive end, their last lines are written
        tcpdump.terminate()
        tcpdump.wait()
        lines = log.read_text(encoding="utf-8").splitlines()
        write_split(folder, split, [_line(text, truth) for text in lines[done:]], capture if split != "train" else None)
        done = len(lines)


def _line(text: str, truth: Truth) -> Line:
    """Cut the port off a logged line and look the connection up."""
    text, port = text.rsplit("\t", 1)
    address = text.split(" ", 1)[0]
    return Line(text, truth.kind(address, int(port)), address)


def _count(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


def start_apache(root: Path, server: Host, configuration: str = "recording.conf") -> None:
    """Start the shop with one of our configurations; it answers when this returns."""
    here = Path(__file__).parent
    site = root / "var/www/shop"
    shutil.copytree(here / "site", site)
    (site / "setup.php").rename(root / "var/lib/setup.php")
    shutil.copy(here / "apache.conf", root / "etc/apache2/recording.conf")
    shutil.copy(here / "traffic.conf", root / "etc/apache2/traffic.conf")
    for folder in ("var/log/apache2", "var/lib/shop", "var/lib/php/sessions"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/php/sessions").chmod(0o1733)
    run("chroot", str(root), "php", "/var/lib/setup.php", "/var/www/shop")
    run("chroot", str(root), "htpasswd", "-bc", "/etc/apache2/office.htpasswd", "maria", "fake-office-1")
    run("chroot", str(root), "htpasswd", "-b", "/etc/apache2/office.htpasswd", "tomas", "fake-office-2")
    run("chroot", str(root), "chown", "-R", "www-data", "/var/lib/shop")
    server.start("chroot", str(root), "apache2", "-f", f"/etc/apache2/{configuration}", "-DFOREGROUND")
    wait_for(lambda: (root / "run/apache2.pid").exists(), "apache2")
    time.sleep(0.5)
