"""Everyday use of all servers, and the benign oddities that training never shows."""

from __future__ import annotations

import contextlib
import ftplib
import http.client
import io
import random
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from recording import auth_clients
from recording.auth_clients import DEVELOPERS, HOME, PARTNERS, Ssh, password
from recording.labels import ODDITY, Truth
from recording.network import Crew, Host, Phase, seeded
from recording.traffic_servers import COPIES, DATABASE, FILES, FTP, MAIL, NAMED, NAMES, WEB
from recording.web_clients import BROWSERS, CATEGORIES, CUSTOMERS, WORDS, Client

VISITORS = CUSTOMERS[:10]  # the addresses behind are partners' here
NEW = [f"198.51.100.{n}" for n in range(231, 236)]  # first seen in val and test
PLACES = {
    "office": auth_clients.PLACES["office"],
    "outside": [*auth_clients.PLACES["outside"], *VISITORS, *NEW],
    **{f"app{n}": [f"192.0.2.{n}"] for n in (71, 72, 73)},
}
OFFICE = [HOME[name] for name in DEVELOPERS]
_STATEMENTS = [  # numbers from 1 to 400 are put in
    "SELECT * FROM product WHERE id = {}",
    "SELECT name, price FROM product WHERE price < {} ORDER BY price LIMIT {}",
    "SELECT customer, count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC LIMIT {}",
    "UPDATE product SET price = price + 1 WHERE id = {}",
    "INSERT INTO orders VALUES ({}, {}, 'customer{}')",
]
Act = Callable[["Actor"], object]


class Actor:
    """One client at an address, with what it needs to choose and to log in.

    Args:
        kind: of its connections where they are odd; they then use marked ports.
    """

    def __init__(self, address: str, name: str, ssh: Ssh, draw: random.Random, kind: str = "") -> None:
        self.address = address
        self.name = name
        self.ssh = ssh
        self.draw = draw
        self.kind = kind

    @property
    def source(self) -> tuple[str, int]:
        """Where its next connection comes from; port 0 lets the kernel pick."""
        return self.address, self.ssh.truth.mark(self.address, self.kind) if self.kind else 0

    def run(self, *command: str) -> None:
        """Run a client program; what it answers is not looked at."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)


def start(crew: Crew, places: dict[str, Host], phase: Phase, truth: Truth, scratch: Path, seed: int) -> None:
    """Send everyone of one phase to work."""
    ssh = Ssh(scratch, truth)

    def send(place: str, address: str, name: str, habits: dict[Act, float], pause: float) -> None:
        actor = Actor(address, name, ssh, seeded(seed, phase.name, address, name))
        crew.start(places[place], _work, phase, actor, habits, pause)

    for name in DEVELOPERS:
        send("office", HOME[name], name, _OFFICE, 1.0)
    for name in PARTNERS[:3]:
        send("outside", HOME[name], name, _PARTNER, 2.0)
    for address in VISITORS:
        send("outside", address, address, _CUSTOMER, 1.2)
    for address in PLACES["office"][-3:]:
        send("office", address, "monitor", _MONITOR, 2.0)
    for place in ("app71", "app72", "app73"):
        send(place, PLACES[place][0], place, _APPLICATION, 0.8)
    rounds = {"train": 0, "val": 2, "test": 4}[phase.name]
    for lane, place in enumerate(("office", "outside")):
        acts = list(_ODDITIES.items())[lane::2] * rounds
        crew.start(places[place], _be_odd, phase, ssh, place, acts, seeded(seed, phase.name, place, "odd"))


def _work(phase: Phase, actor: Actor, habits: dict[Act, float], pause: float) -> None:
    time.sleep(actor.draw.uniform(0, 2 * pause))
    while not phase.over:
        act = actor.draw.choices(list(habits), list(habits.values()))[0]
        with contextlib.suppress(OSError, http.client.HTTPException, ftplib.Error, smtplib.SMTPException):
            act(actor)
        time.sleep(actor.draw.uniform(0.2, 1.2) * pause)


def _be_odd(phase: Phase, ssh: Ssh, place: str, acts: list[tuple[str, Act]], draw: random.Random) -> None:
    for number, (kind, act) in enumerate(acts):
        phase.wait((number + draw.random()) / len(acts) * 0.95)
        address = draw.choice(OFFICE if place == "office" else VISITORS)
        if kind == "new_client":
            address = draw.choice(NEW)
        name = draw.choice(DEVELOPERS)
        with contextlib.suppress(OSError, http.client.HTTPException, ftplib.Error, smtplib.SMTPException):
            act(Actor(address, name, ssh, draw, ODDITY + kind))


# ---- everyday


def _browse(actor: Actor) -> None:
    """A visit by plain HTTP: a page with its files, some searches and products."""
    agent = BROWSERS[hash_of(actor.address) % len(BROWSERS)]
    client = Client(actor.address, agent, actor.source[1])
    client.page("/", pictures=(1, 2))
    for _ in range(actor.draw.randint(0, 4)):
        client.page(_path(actor.draw), "/")
        time.sleep(actor.draw.uniform(0, 0.3))
    client.close()


def _browse_encrypted(actor: Actor) -> None:
    """The same behind TLS, by a browser-like client or by a program; versions differ as in life."""
    draw = actor.draw
    tool = draw.choice(["python", "python", "curl", "curl", "wget"])
    url = f"https://{WEB}{_path(draw)}"
    if tool == "wget":
        actor.run("wget", "-q", "--no-check-certificate", f"--bind-address={actor.address}", "-O", "/dev/null", url)
    elif tool == "curl":
        version = draw.choice([["--tls-max", "1.2"], [], ["--http1.1"]])
        more = [f"https://{WEB}{_path(draw)}" for _ in range(draw.randint(0, 3))]
        actor.run("curl", "-sk", "--interface", actor.address, *version, "-A", draw.choice(BROWSERS), url, *more)
    else:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if draw.random() < 0.3:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        connection = http.client.HTTPSConnection(WEB, timeout=10, source_address=actor.source, context=context)
        for _ in range(draw.randint(1, 5)):
            connection.request("GET", _path(draw), headers={"User-Agent": BROWSERS[0], "Host": "shop.example"})
            connection.getresponse().read()
            time.sleep(draw.uniform(0, 0.3))
        connection.close()


def _path(draw: random.Random) -> str:
    return draw.choice(
        [
            "/",
            f"/product.php?id={draw.randint(1, 60)}",
            f"/products.php?category={draw.choice(CATEGORIES)}",
            f"/search.php?q={draw.choice(WORDS).replace(' ', '+')}",
            f"/api/v1/products/{draw.randint(1, 60)}/stock",
            "/contact.php",
            "/feed.xml",
            "/static/site.css",
        ]
    )


def _resolve(actor: Actor) -> None:
    """Look up a few names."""
    for _ in range(actor.draw.randint(1, 3)):
        kind = actor.draw.choices(["A", "AAAA", "MX", "TXT", "PTR"], [12, 6, 1, 1, 2])[0]
        name = "shop.example" if kind in ("MX", "TXT") else f"{actor.draw.choice(NAMED)}.example"
        asked = ["-x", f"192.0.2.{actor.draw.randint(10, 22)}"] if kind == "PTR" else [name, kind]
        more = actor.draw.choice([[], [], [], ["+noedns"], ["+tcp"]])
        actor.run("dig", "+tries=1", "+time=2", "-b", actor.address, f"@{NAMES}", *asked, *more)


def _log_in(actor: Actor) -> None:
    """A command by ssh, with a key or a password."""
    command = actor.draw.choice(["uptime", "df -h", "ls -l /srv", "git upload-pack --advertise-refs .", "ps aux", "id"])
    if actor.draw.random() < 0.25:
        actor.ssh.by_password(actor.name, actor.address, [password(actor.name)], command, kind=actor.kind)
    else:
        actor.ssh.by_key(actor.name, actor.address, command, kind=actor.kind)


def _copy_by_ssh(actor: Actor) -> None:
    """Copy by scp and sftp, as one moves files by hand; rsync over ssh as scripts do."""
    key = str(actor.ssh.scratch / "keys" / f"{actor.name}-ed25519")
    options = [*("-o", "StrictHostKeyChecking=no"), *("-o", "UserKnownHostsFile=/dev/null"), "-o", "IdentitiesOnly=yes"]
    options += [*("-F", "none", "-i", key), "-o", f"BindAddress={actor.address}", *("-o", "BatchMode=yes")]
    remote = f"{actor.name}@{auth_clients.SERVER}"
    file = f"/srv/files/{_file(actor.draw, 18)}"
    way = actor.draw.choice(["scp", "scp -O", "sftp", "rsync"])
    with tempfile.TemporaryDirectory(dir=actor.ssh.scratch) as folder:
        if way == "sftp":
            actor.run("sftp", *options, f"{remote}:{file}", folder)
        elif way == "rsync":
            shell = " ".join(["ssh", *options])
            actor.run("rsync", "-a", "-e", shell, f"{remote}:{file}", folder)
        else:
            actor.run(*way.split(), *options, f"{remote}:{file}", folder)


def _copy_by_rsync(actor: Actor) -> None:
    with tempfile.TemporaryDirectory(dir=actor.ssh.scratch) as folder:
        files = [f"rsync://{COPIES}/files/{_file(actor.draw, 17)}" for _ in range(actor.draw.randint(1, 2))]
        if actor.draw.random() < 0.2:
            files = [f"rsync://{COPIES}/files/"]  # a listing
        actor.run("rsync", "-a", f"--address={actor.address}", *files, folder)


def _transfer(actor: Actor) -> None:
    """FTP: list, fetch, leave; most are passive, as clients are today."""
    draw = actor.draw
    ftp = ftplib.FTP(timeout=10)  # noqa: S321  # made up to be recorded
    ftp.connect(FTP, source_address=actor.source)
    with contextlib.closing(ftp):
        if draw.random() < 0.4:
            ftp.login()
        else:
            ftp.login(actor.name, password(actor.name))
            ftp.cwd("/srv/files")
        ftp.set_pasv(draw.random() < 0.8)
        ftp.nlst()
        for _ in range(draw.randint(0, 2)):
            ftp.retrbinary(f"RETR {_file(draw, 17)}", lambda _: None)
        if draw.random() < 0.2:
            with contextlib.suppress(ftplib.Error):
                ftp.storbinary(
                    f"STOR incoming/{draw.randint(1, 99)}.txt", io.BytesIO(b"made up " * draw.randint(9, 400))
                )
        with contextlib.suppress(ftplib.Error):
            ftp.quit()


def _mail(actor: Actor) -> None:
    """A mail or two; many by STARTTLS."""
    draw = actor.draw
    greeting = f"{actor.name.replace('.', '-')}.example"
    smtp = smtplib.SMTP(MAIL, 25, local_hostname=greeting, timeout=10, source_address=actor.source)
    with contextlib.closing(smtp):
        if draw.random() < 0.5:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            smtp.starttls(context=context)
        for _ in range(draw.randint(1, 2)):
            text = " ".join(draw.choice(WORDS) for _ in range(draw.randint(20, 600)))
            to = [f"{draw.choice(DEVELOPERS)}@shop.example" for _ in range(draw.randint(1, 2))]
            smtp.sendmail(
                f"{draw.choice(PARTNERS)}@partner.example", to, f"Subject: {draw.choice(WORDS)}\r\n\r\n{text}"
            )
        smtp.quit()


def _query(actor: Actor) -> None:
    """SQL by psql, which takes its host's first address."""
    draw = actor.draw
    statements = [statement.format(*(draw.randint(1, 400) for _ in range(3))) for statement in _STATEMENTS]
    chosen = [word for statement in draw.sample(statements, draw.randint(1, 4)) for word in ("-c", statement)]
    actor.run("env", "PGPASSWORD=fake-clerk-1", "psql", "-q", "-h", DATABASE, "-U", "clerk", "postgres", *chosen)


def _cache(actor: Actor) -> None:
    """Redis commands on one connection."""
    draw = actor.draw
    with socket.create_connection((DATABASE, 6379), 10, actor.source) as connection:
        for _ in range(draw.randint(1, 8)):
            key = f"session:{draw.randint(1, 200)}"
            commands = [["GET", key], ["SET", key, "x" * draw.randint(5, 300), "EX", "600"], ["INCR", "hits"], ["PING"]]
            connection.sendall(resp(*draw.choice([*commands, ["EXPIRE", key, "60"], ["HGETALL", f"cart:{key}"]])))
            connection.recv(4096)
            time.sleep(draw.uniform(0, 0.1))


def _ping(actor: Actor) -> None:
    server = actor.draw.choice([WEB, MAIL, DATABASE, NAMES])
    actor.run("ping", "-n", "-c", "2", "-i", "0.2", "-I", actor.address, server)


def _probe(actor: Actor) -> None:
    """The monitor's look at the shop."""
    actor.run("curl", "-s", "--interface", actor.address, "-A", "check_http/v2.3.3", f"http://{WEB}/health")


_OFFICE: dict[Act, float] = {
    _browse: 3, _browse_encrypted: 4, _resolve: 12, _log_in: 2, _copy_by_ssh: 1.5, _copy_by_rsync: 2, _transfer: 1.5,
    _mail: 3,
}  # fmt: skip
_PARTNER: dict[Act, float] = {_transfer: 3, _copy_by_ssh: 1, _mail: 2, _browse_encrypted: 2}
_CUSTOMER: dict[Act, float] = {_browse: 5, _browse_encrypted: 7, _resolve: 5, _mail: 1}
_MONITOR: dict[Act, float] = {_ping: 1, _probe: 3, _resolve: 2, _cache: 1}
_APPLICATION: dict[Act, float] = {_query: 4, _cache: 5, _resolve: 4, _mail: 0.5}


# ---- odd, and harmless


def _connect(port: int) -> Act:
    def connect(actor: Actor) -> None:
        with contextlib.suppress(OSError), socket.create_connection((WEB, port), 2, actor.source):
            pass

    return connect


def _mistype_name(actor: Actor) -> None:
    address, port = actor.source
    actor.run(
        "dig", "+tries=1", "+time=2", "-b", f"{address}#{port}", f"@{NAMES}", f"{actor.draw.choice(NAMED)}s.example"
    )


def _refuse_certificate(actor: Actor) -> None:
    """A client that does believe in certificates."""
    with contextlib.suppress(ssl.SSLError), socket.create_connection((WEB, 443), 5, actor.source) as connection:
        ssl.create_default_context().wrap_socket(connection, server_hostname="shop.example").close()


def _mistype_ssh(actor: Actor) -> None:
    actor.ssh.by_password(
        actor.name, actor.address, [password(actor.name)[:-1], password(actor.name)], "id", kind=actor.kind
    )


def _mistype_ftp(actor: Actor) -> None:
    ftp = ftplib.FTP(timeout=10)  # noqa: S321
    ftp.connect(FTP, source_address=actor.source)
    with contextlib.closing(ftp), contextlib.suppress(ftplib.Error):
        ftp.login(actor.name, "fake")


def _send_elsewhere(actor: Actor) -> None:
    """A recipient that this server does not serve."""
    with socket.create_connection((MAIL, 25), 5, actor.source) as connection:
        for line in ("", "EHLO a.example", "MAIL FROM:<dora@shop.example>", "RCPT TO:<x@other.example>", "QUIT"):
            if line:
                connection.sendall(f"{line}\r\n".encode())
            connection.recv(1000)


def _leave_idle(actor: Actor) -> None:
    """A connection that says little and waits until the server lets it go."""
    client = Client(actor.address, BROWSERS[0], actor.source[1])
    client.send("GET", "/health")
    time.sleep(4)
    client.close()


def _miss_page(actor: Actor) -> None:
    client = Client(actor.address, BROWSERS[1], actor.source[1])
    for name in ("catalog", "favicon.ico", "products.html"):
        client.send("GET", f"/{name}")
    client.close()


def _ask_redis_nonsense(actor: Actor) -> None:
    with socket.create_connection((DATABASE, 6379), 5, actor.source) as connection:
        connection.sendall(resp("GTE", "session:1"))
        connection.recv(1000)


_ODDITIES: dict[str, Act] = {
    "closed_port": _connect(8080),
    "mistyped_name": _mistype_name,
    "refused_certificate": _refuse_certificate,
    "new_client": _browse,
    "mistyped_password": _mistype_ssh,
    "idle_connection": _leave_idle,
    "mistyped_ftp": _mistype_ftp,
    "missing_page": _miss_page,
    "refused_mail": _send_elsewhere,
    "unused_connection": _connect(80),
    "mistyped_command": _ask_redis_nonsense,
    "early_hang_up": _connect(443),
}


def resp(*words: str) -> bytes:
    """A command as redis reads it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


def hash_of(address: str) -> int:
    """The same number for an address in every process."""
    return int(address.rsplit(".", 1)[1])


def _file(draw: random.Random, largest: int) -> str:
    number = draw.randrange(min(largest, FILES))
    return f"{('report', 'photo', 'backup', 'notes')[number % 4]}-{number:02d}.dat"
