"""The authentication sample: sshd, sudo, su and cron on one server, its people, and intruders."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from recording import auth_attacks, auth_clients
from recording.labels import ODDITY, Line, Truth, write_split
from recording.network import Crew, Host, Phase, run, wait_for

SERVER, NAME = auth_clients.SERVER, "gate"
SNAP_LENGTH = 112  # headers and the first bytes: what follows is encrypted and does not pack
# Lines to record and the longest a split may take, in seconds.
SPLITS = {"train": (5200, 280), "val": (2100, 150), "test": (4100, 300)}
MOST_LEFT_OUT = 10  # lines of a split whose connection may stay unknown
log = logging.getLogger("record")
LOCAL = "local"  # source of lines that no connection caused

_ADDRESS = re.compile(r" ((?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+) port (\d+)")


def labelled(messages: list[str], daemons: dict[int, str], truth: Truth, daemon_kind: str) -> list[Line]:
    """Join what `syslog.py` wrote with what is known of the connections.

    The first line of an sshd process of a connection names its address and port; what its descendants say is its too.

    Args:
        messages: A JSON object each.
        truth: Kind of each connection.
        daemons: Process number and name of what runs without a connection.
        daemon_kind: Kind of what sshd itself says between connections.
    """
    spoken: list[dict[str, Any]] = [json.loads(message) for message in messages]
    connections: dict[tuple[int, str], tuple[str, int]] = {}
    for line in spoken:
        line["chain"] = [tuple(process) for process in line["chain"]]
        sender = next(iter(line["chain"]), None)
        if sender and sender[0] not in daemons and (found := _ADDRESS.search(line["text"])):
            connections.setdefault(sender, (found[1], int(found[2])))
    lines = []
    for text, chain in ((line["text"], line["chain"]) for line in spoken):
        connection = next((connections[process] for process in reversed(chain) if process in connections), None)
        if not chain and (own := _ADDRESS.search(text)):
            connection = (own[1], int(own[2]))
        cron = any(daemons.get(number) == "cron" for number, _ in chain)
        if connection:
            lines.append(Line(text, truth.kind(*connection), connection[0]))
        elif cron:
            lines.append(Line(text, "", LOCAL))
        elif chain and chain[0][0] in daemons:
            lines.append(Line(text, daemon_kind, LOCAL))
        else:
            log.info("left out, for its connection is not known: %s", text)
    if len(messages) - len(lines) > MOST_LEFT_OUT:
        raise RuntimeError(f"{len(messages) - len(lines)} of {len(messages)} lines have no known connection")
    return lines


def record(root: Path, scratch: Path, folder: Path, seed: int) -> None:
    """Record the three splits, one after the other, from one running server."""
    server = Host(NAME, [SERVER])
    run("hostname", NAME)
    make_accounts(root, scratch)
    said = scratch / "said"
    syslog = [sys.executable, "-IS", str(Path(__file__).with_name("syslog.py")), str(root / "dev/log"), NAME, str(said)]
    subprocess.Popen(syslog)
    wait_for(said.exists, "syslog")
    daemons: dict[int, str] = {}
    truth = Truth()
    places = {name: Host(name, addresses) for name, addresses in auth_clients.PLACES.items()}
    places["attacker"] = Host("attacker", auth_attacks.ADDRESSES)
    (root / "run/sshd").mkdir()
    captures = {}
    first = 0
    for split, (target, seconds) in SPLITS.items():
        captures[split] = scratch / f"{split}.pcap"
        tcpdump = server.capture(captures[split], 22, SNAP_LENGTH)
        if split == "train":
            daemons = _start_daemons(root, server)
        phase = Phase(split, target, seconds, lambda: len(_read(said)))
        crew = Crew()
        auth_clients.start(crew, places, phase, truth, scratch, seed)
        if split != "train":
            auth_attacks.start(crew, places["attacker"], phase, truth, scratch)
        crew.join()
        time.sleep(2)  # the last sessions are closed
        tcpdump.terminate()
        tcpdump.wait()
        restarted = ODDITY + "service_restart" if split != "train" else ""
        messages = _read(said)[first:]
        lines = labelled(messages, daemons, truth, restarted)
        write_split(folder, split, lines, captures[split] if split != "train" else None)
        first += len(messages)


def _read(said: Path) -> list[str]:
    return said.read_text(encoding="utf-8").splitlines()


def _start_daemons(root: Path, server: Host) -> dict[int, str]:
    sshd = server.start("chroot", str(root), "/usr/sbin/sshd", "-D", "-f", "/etc/ssh/recording.conf")
    cron = server.start("chroot", str(root), "cron", "-f")
    wait_for(lambda: (root / "run/sshd.pid").exists(), "sshd")
    return {sshd.pid: "sshd", cron.pid: "cron"}


def make_accounts(root: Path, scratch: Path) -> None:
    """People, their keys and what they may do. The passwords are fake and end with the recording."""

    def inside(*command: str, said: str = "") -> None:
        subprocess.run(["chroot", str(root), *command], input=said, text=True, check=True, capture_output=True)

    here = Path(__file__).parent
    shutil.copy(here / "sshd.conf", root / "etc/ssh/recording.conf")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / "etc/ssh/recording_host_key"))
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{SERVER} {NAME}\n")
    (root / "etc/hostname").write_text(f"{NAME}\n")
    for file in (root / "etc/pam.d").iterdir():
        # No systemd runs here, and a container may not raise limits: neither belongs into the log.
        file.write_text(re.sub(r"^session.*pam_(systemd|limits).*\n", "", file.read_text(), flags=re.M))
    for file in ("var/log/lastlog", "var/log/wtmp", "var/log/btmp", "run/utmp"):
        (root / file).touch()
        (root / file).chmod(0o660)  # sshd complains of a btmp that all can read
    for job in (root / "etc/cron.d").iterdir():
        job.unlink()
    (root / "etc/crontab").write_text("")
    (root / "etc/cron.d/recording").write_text(auth_clients.CRONTAB)
    (root / "etc/sudoers.d/recording").write_text(auth_clients.SUDOERS)
    (root / "etc/sudoers.d/recording").chmod(0o440)
    keys = scratch / "keys"
    keys.mkdir()
    for name in auth_clients.ACCOUNTS:
        inside("useradd", "-m", "-s", "/bin/bash", name)
        home = root / "home" / name / ".ssh"
        home.mkdir()
        public = ""
        for kind in auth_clients.KEY_TYPES:
            run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(keys / f"{name}-{kind}"))
            public += (keys / f"{name}-{kind}.pub").read_text()
        (home / "authorized_keys").write_text(public)
        inside("chown", "-R", name, f"/home/{name}/.ssh")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(keys / "retired"))
    passwords = {name: auth_clients.password(name) for name in [*auth_clients.ACCOUNTS, "root"]}
    passwords["guest"] = auth_attacks.WEAK_PASSWORD
    inside("chpasswd", said="".join(f"{name}:{word}\n" for name, word in passwords.items()))
    for name in auth_clients.ADMINS:
        inside("usermod", "-aG", "sudo", name)
    inside("usermod", "-e", "2020-01-01", auth_clients.LOCKED)
    inside("chage", "-d", "0", auth_clients.EXPIRED)
