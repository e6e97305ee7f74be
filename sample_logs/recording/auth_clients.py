"""The people of the server, their habits and typing mistakes, and the benign oddities training never shows."""

from __future__ import annotations

import logging
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recording.labels import ODDITY, Truth
from recording.network import Crew, Host, Phase, seeded

log = logging.getLogger("record")
SERVER = "192.0.2.20"
ADMINS = ["alice", "bruno", "chiara"]
DEVELOPERS = ["dora", "emil", "farid", "greta", "hanna", "ivan"]
PARTNERS = [f"partner{n}" for n in range(1, 7)]
LOCKED, EXPIRED = "lena", "oskar"
ACCOUNTS = [*ADMINS, *DEVELOPERS, *PARTNERS, "ansible", "backup2", "monitor", "deploy", LOCKED, EXPIRED, "guest"]
KEY_TYPES = ["ed25519", "ecdsa"]  # the second is what a rotated key becomes
HOME = {name: f"192.0.2.{n}" for n, name in enumerate([*ADMINS, *DEVELOPERS, "ansible", "backup2", "monitor"], 51)}
HOME |= {name: f"198.51.100.{n}" for n, name in enumerate(PARTNERS, 21)}
NEW = [f"198.51.100.{n}" for n in range(201, 221)]  # first seen in val and test
PLACES = {"office": [a for a in HOME.values() if a.startswith("192.")], "outside": [*sorted(HOME.values())[-6:], *NEW]}
SUDOERS = """\
Defaults passwd_timeout=0.05
ansible ALL=(ALL) NOPASSWD: ALL
backup2 ALL=(root) NOPASSWD: /usr/bin/tar
dora,emil,farid,greta,hanna,ivan ALL=(root) NOPASSWD: /usr/bin/systemctl restart app-*
"""
CRONTAB = """\
* * * * * root true
* * * * * www-data true
* * * * * deploy true
* * * * * backup2 sleep 2
*/2 * * * * root sleep 1
*/2 * * * * alice true
*/3 * * * * monitor true
"""
ADMIN_COMMANDS = [
    "systemctl --no-pager status nginx",
    "systemctl restart app-1",
    "journalctl --no-pager -u ssh -n 20",
    "tail -n 50 /var/log/dpkg.log",
    "du -sh /srv",
    "df -h",
    "crontab -l -u deploy",
    "ls /var/spool/cron",
    "chown -R deploy /srv",
    "su - deploy -c id",
    "cat /etc/ssh/sshd_config",
]
ANSIBLE_COMMANDS = ["stat /etc/hosts", "cp /etc/hosts /tmp/hosts.new", "chmod 644 /etc/hosts", "dpkg -l openssh-server"]


def password(name: str) -> str:
    """Obviously fake, and gone with the recording."""
    return f"fake-{name}-1"


@dataclass
class Ssh:
    """Real ssh clients; one object serves all threads."""

    scratch: Path
    truth: Truth

    def __post_init__(self) -> None:
        self._askpass = self.scratch / "askpass"
        self._askpass.write_text('#!/bin/sh\nhead -n 1 "$PASSWORDS"\nsed -i 1d "$PASSWORDS"\n')  # one answer a prompt
        self._askpass.chmod(0o755)

    def command(self, kind: str, address: str) -> list[str]:
        """The options all sessions share; a session that is not everyday traffic gets its marked port."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=15"]
        if kind:
            helper = shlex.join([sys.executable, "-IS", str(Path(__file__).with_name("connect.py")), address])
            port = self.truth.mark(address, kind)
            options += ["ProxyUseFdpass=yes", f"ProxyCommand={helper} {port} %h %p"]
        return ["ssh", "-F", "none", "-b", address, *(word for option in options for word in ("-o", option))]

    def by_key(
        self, name: str, address: str, *arguments: str, kind: str = "", key: str = "", options: Sequence[str] = ()
    ) -> int:
        """A session with a key; returns ssh's exit code."""
        key = str(self.scratch / "keys" / (key or f"{name}-{KEY_TYPES[0]}"))
        identity = ["-i", key, "-o", "IdentitiesOnly=yes", "-o", "PasswordAuthentication=no", *options]
        return _run([*self.command(kind, address), *identity, f"{name}@{SERVER}", *arguments])

    def by_password(self, name: str, address: str, typed: Sequence[str], *arguments: str, kind: str = "") -> int:
        """A session with a password; `typed` holds what is typed at each prompt."""
        with tempfile.NamedTemporaryFile("w", dir=self.scratch) as passwords:
            passwords.write("\n".join(typed) + "\n")
            passwords.flush()
            asked = ["-o", "PubkeyAuthentication=no", "-o", f"NumberOfPasswordPrompts={len(typed)}"]
            environment = {"SSH_ASKPASS": str(self._askpass), "SSH_ASKPASS_REQUIRE": "force"}
            environment |= {"PASSWORDS": passwords.name, "PATH": "/usr/bin:/bin"}
            return _run([*self.command(kind, address), *asked, f"{name}@{SERVER}", *arguments], environment)


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> int:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=30)
    except subprocess.TimeoutExpired:
        log.info("hung up after 30 s: %s", shlex.join(command))
        return 255
    return done.returncode


def sudo(name: str, command: str, typed: Sequence[str] | None = None) -> str:
    """What a shell is told so that sudo asks and gets its passwords."""
    answers = " ".join(map(shlex.quote, typed or [password(name)]))
    return f"printf '%s\\n' {answers} | sudo -S -p '' {command}"


def start(crew: Crew, places: dict[str, Host], phase: Phase, truth: Truth, scratch: Path, seed: int) -> None:
    """Send everyone of one phase to work."""
    ssh = Ssh(scratch, truth)
    roles = dict.fromkeys(ADMINS, _administer) | dict.fromkeys(DEVELOPERS, _develop)
    roles |= {"ansible": _configure, "backup2": _back_up, "monitor": _monitor}
    for name, role in roles.items():
        crew.start(places["office"], role, phase, ssh, name, HOME[name], seeded(seed, phase.name, name))
    for name in PARTNERS:
        crew.start(places["outside"], _deliver, phase, ssh, name, HOME[name], seeded(seed, phase.name, name))
    rounds = {"train": 0, "val": 1, "test": 3}[phase.name]
    for place, oddities in (("office", _AT_HOME), ("outside", _OUTSIDE)):
        actions = list(oddities.items()) * rounds
        for lane in (actions[0::2], actions[1::2]):
            crew.start(places[place], _be_odd, phase, ssh, lane, seeded(seed, phase.name, place, lane and lane[0][0]))


def _administer(phase: Phase, ssh: Ssh, name: str, address: str, rng: random.Random) -> None:
    """Terminal sessions with some sudo; now and then the password is mistyped."""
    while not phase.over:
        typed = [password(name)]
        if rng.random() < 0.06:
            typed.insert(0, password(name)[:-1])
        lines = [sudo(name, rng.choice(ADMIN_COMMANDS), typed)]
        lines += [f"sudo {rng.choice(ADMIN_COMMANDS)}" for _ in range(rng.randint(0, 3))]
        ssh.by_key(name, address, "-tt", "; ".join(lines))
        time.sleep(rng.uniform(0.3, 1.5))


def _develop(phase: Phase, ssh: Ssh, name: str, address: str, rng: random.Random) -> None:
    """git, scp-like copies, a look around, a restart of one's own application."""
    while not phase.over:
        command = rng.choices(
            [
                "git upload-pack --advertise-refs .",
                "scp -t /tmp",
                "uptime",
                "tail -n 5 /etc/hosts",
                f"sudo systemctl restart app-{rng.randint(1, 9)}",
            ],
            [4, 2, 2, 1, 2],
        )[0]
        if rng.random() < 0.2:
            word = password(name)
            ssh.by_password(name, address, [word[1:], word] if rng.random() < 0.15 else [word], command)
        else:
            ssh.by_key(name, address, command)
        time.sleep(rng.uniform(0.3, 1.5))


def _deliver(phase: Phase, ssh: Ssh, name: str, address: str, rng: random.Random) -> None:
    """Partners leave files by sftp, with a password that some mistype."""
    while not phase.over:
        word = password(name)
        typed = [word.replace("-", "_"), word] if rng.random() < 0.08 else [word]
        ssh.by_password(name, address, typed, "-s", "sftp")
        time.sleep(rng.uniform(0.5, 2))


def _configure(phase: Phase, ssh: Ssh, name: str, address: str, rng: random.Random) -> None:
    while not phase.over:
        for command in rng.sample(ANSIBLE_COMMANDS, 3):
            ssh.by_key(name, address, f"sudo -n {command}")
        time.sleep(rng.uniform(2, 4))


def _back_up(phase: Phase, ssh: Ssh, name: str, address: str, rng: random.Random) -> None:
    while not phase.over:
        ssh.by_key(name, address, f"sudo -n tar czf /tmp/hosts-{rng.randint(1, 99)}.tar.gz /etc/hosts")
        time.sleep(5)


def _monitor(phase: Phase, ssh: Ssh, name: str, address: str, rng: random.Random) -> None:
    while not phase.over:
        ssh.by_key(name, address, "uptime")
        time.sleep(rng.uniform(2, 3))


Oddity = Callable[[Ssh, str, random.Random], object]


def _be_odd(phase: Phase, ssh: Ssh, actions: list[tuple[str, Oddity]], rng: random.Random) -> None:
    for number, (kind, act) in enumerate(actions):
        phase.wait((number + rng.random()) / len(actions) * 0.97)
        act(ssh, ODDITY + kind, rng)


def _mistype_name(ssh: Ssh, kind: str, rng: random.Random) -> None:
    name = rng.choice(DEVELOPERS)
    ssh.by_password(name[0] + name[2] + name[1] + name[3:], HOME[name], [password(name)], kind=kind)
    ssh.by_password(name, HOME[name], [password(name)], "uptime", kind=kind)


def _rotate_key(ssh: Ssh, kind: str, rng: random.Random) -> None:
    name = rng.choice(DEVELOPERS)
    ssh.by_key(name, HOME[name], kind=kind, key="retired")
    ssh.by_key(name, HOME[name], "uptime", kind=kind, key=f"{name}-{KEY_TYPES[1]}")


def _refuse_host_key(ssh: Ssh, kind: str, rng: random.Random) -> None:
    """The client remembers another host key and hangs up."""
    name = rng.choice(DEVELOPERS)
    known = ssh.scratch / "known_hosts"
    known.write_text(f"{SERVER} {(ssh.scratch / 'keys/retired.pub').read_text()}")
    # ssh heeds the first of two options, so these must replace those all sessions share.
    command = [
        word.replace("Checking=no", "Checking=yes").replace("/dev/null", str(known))
        for word in ssh.command(kind, HOME[name])
    ]
    _run([*command, f"{name}@{SERVER}"])


def _ask(*arguments: str, options: Sequence[str] = ()) -> Oddity:
    """An oddity that is one session of a developer."""

    def act(ssh: Ssh, kind: str, rng: random.Random) -> None:
        name = rng.choice(DEVELOPERS)
        ssh.by_key(name, HOME[name], *arguments, kind=kind, options=options)

    return act


def _administrate(*commands: str) -> Oddity:
    """An oddity that an administrator causes on purpose; {} is a name new each time."""
    names = iter(["noor", "pablo", "quinn", "rosa", "sven", "tara", "uma", "viktor"])

    def act(ssh: Ssh, kind: str, rng: random.Random) -> None:
        name, new = rng.choice(ADMINS), next(names)
        lines = [sudo(name, command.format(new)) for command in commands]
        ssh.by_key(name, HOME[name], "-tt", "; ".join(lines), kind=kind)

    return act


def _let_sudo_wait(ssh: Ssh, kind: str, rng: random.Random) -> None:
    """The telephone rings at sudo's prompt."""
    name = rng.choice(ADMINS)
    ssh.by_key(name, HOME[name], "-tt", "sleep 5 | sudo -S -k df -h", kind=kind)


def _lose_connection(ssh: Ssh, kind: str, rng: random.Random) -> None:
    name = rng.choice(DEVELOPERS)
    key = ["-i", str(ssh.scratch / "keys" / f"{name}-{KEY_TYPES[0]}"), "-o", "IdentitiesOnly=yes"]
    session = subprocess.Popen(
        [*ssh.command(kind, HOME[name]), *key, f"{name}@{SERVER}", "sleep 2"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(1.5)
    session.kill()
    session.wait()


_AT_HOME: dict[str, Oddity] = {
    "mistyped_user": _mistype_name,
    "rotated_user_key": _rotate_key,
    "rotated_host_key": _refuse_host_key,
    "cipher_mismatch": _ask("uptime", options=["-c", "aes128-cbc"]),
    "forward_refused": _ask("-W", "192.0.2.30:80"),
    "new_colleague": _administrate("useradd -m -s /bin/bash {}", "usermod -aG users {}", "chage -d 0 {}"),
    "new_command": _administrate("visudo -c", "sshd -T", "lastlog -u {}"),
    "service_restart": _administrate("kill -HUP $(cat /run/sshd.pid)"),
    "sudo_timeout": _let_sudo_wait,
    "lost_connection": _lose_connection,
}
_OUTSIDE: dict[str, Oddity] = {
    "new_client": lambda ssh, kind, rng: ssh.by_key(rng.choice(ADMINS), rng.choice(NEW), "uptime", kind=kind),
    "forgotten_password": lambda ssh, kind, rng: ssh.by_password(
        "partner3", HOME["partner3"], ["fake-partner", "fake-partner3", "partner3-1"], kind=kind
    ),
    "locked_account": lambda ssh, kind, rng: ssh.by_password(
        LOCKED, rng.choice(NEW), [password(LOCKED)], "uptime", kind=kind
    ),
    "expired_password": lambda ssh, kind, rng: ssh.by_password(
        EXPIRED, rng.choice(NEW), [password(EXPIRED)], "uptime", kind=kind
    ),
    "abandoned_login": lambda ssh, kind, rng: ssh.by_key("partner1", HOME["partner1"], kind=kind, key="retired"),
}
