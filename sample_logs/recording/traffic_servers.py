"""The servers of the traffic sample: Debian's own, on the addresses of one host, each with what it needs to answer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from recording import auth, web
from recording.network import Host, run, seeded, wait_for

WEB, GATE, FTP, COPIES, MAIL, DATABASE, NAMES = (f"192.0.2.{n}" for n in (10, 20, 21, 22, 25, 30, 5))
ADDRESSES = [WEB, GATE, FTP, COPIES, MAIL, DATABASE, NAMES]
APPLICATIONS = {
    (WEB, 80): "http",
    (WEB, 443): "https",
    (GATE, 22): "ssh",
    (FTP, 20): "ftp",
    (FTP, 21): "ftp",
    (COPIES, 873): "rsync",
    (MAIL, 25): "smtp",
    (DATABASE, 5432): "postgresql",
    (DATABASE, 6379): "redis",
    (NAMES, 53): "dns",
}
"""By address and port of the server; a connection to anything else has none."""
FTP_DATA = range(40_000, 40_200)  # ports of passive transfers
NAMED = ["shop", "www", "mail", "ftp", "gate", "db", "files", "intranet", "wiki", "print", "time", "backup", "git"]
FILES = 24  # to copy
DATA = "/srv/database"
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), Path("/usr/lib/postgresql/bin"))
_AS_POSTGRES = ("setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups")

_DNSMASQ = """\
no-resolv
no-hosts
bind-interfaces
user=nobody
auth-ttl=60
local=/example/
mx-host=shop.example,mail.shop.example,10
txt-record=shop.example,"v=spf1 ip4:192.0.2.25 -all"
"""
_VSFTPD = f"""\
listen=YES
listen_address={FTP}
local_enable=YES
anonymous_enable=YES
anon_root=/srv/files
write_enable=YES
connect_from_port_20=YES
pasv_min_port={FTP_DATA.start}
pasv_max_port={FTP_DATA.stop - 1}
seccomp_sandbox=NO
secure_chroot_dir=/run/vsftpd
pam_service_name=vsftpd
background=NO
"""
_SMTPD = f"""\
pki {MAIL} cert "/etc/ssl/recording.crt"
pki {MAIL} key "/etc/ssl/recording.key"
listen on {MAIL} port 25 tls pki {MAIL} hostname mail.shop.example
action "drop" mda "/bin/cat > /dev/null" user nobody
match from any for domain "shop.example" action "drop"
"""
_RSYNCD = f"""\
address = {COPIES}
use chroot = no
[files]
path = /srv/files
read only = no
"""
_SQL = """\
CREATE ROLE clerk LOGIN PASSWORD 'fake-clerk-1';
CREATE TABLE product AS SELECT n AS id, 'product ' || n AS name, n * 7 % 90 AS price FROM generate_series(1, 400) n;
CREATE TABLE orders AS
    SELECT n AS id, n % 400 AS product, 'customer' || n % 30 AS customer FROM generate_series(1, 2000) n;
GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk;
"""


def start(root: Path, scratch: Path) -> Host:
    """Start all of them on one host, and wait until they answer."""
    server = Host("servers", ADDRESSES)
    auth.make_accounts(root, scratch)
    _certificate(root)
    _files(root)
    web.start_apache(root, server, "traffic.conf")
    (root / "run/sshd").mkdir()
    records = "".join(f"address=/{name}.example/192.0.2.{n}\n" for n, name in enumerate(NAMED, 10))
    for path, text in (
        ("etc/dnsmasq.recording", f"{_DNSMASQ}listen-address={NAMES}\n{records}"),
        ("etc/vsftpd.recording", _VSFTPD),
        ("etc/smtpd.recording", _SMTPD),
        ("etc/rsyncd.recording", _RSYNCD),
    ):
        (root / path).write_text(text)
    (root / "run/vsftpd").mkdir()
    commands: list[list[str]] = [
        ["/usr/sbin/sshd", "-D", "-f", "/etc/ssh/recording.conf"],
        ["dnsmasq", "-k", "-C", "/etc/dnsmasq.recording"],
        ["vsftpd", "/etc/vsftpd.recording"],
        ["smtpd", "-d", "-f", "/etc/smtpd.recording"],
        ["rsync", "--daemon", "--no-detach", "--config", "/etc/rsyncd.recording"],
        ["redis-server", "--bind", DATABASE, "--protected-mode", "no", "--save", "", "--dir", "/srv"],
        [*_AS_POSTGRES, str(POSTGRES / "postgres"), "-D", DATA, "-h", DATABASE, "-k", DATA],
    ]
    _database(root)
    for command in commands:
        server.start("chroot", str(root), *command)
    for (address, port), name in APPLICATIONS.items():
        if (address, port) not in ((FTP, 20), (NAMES, 53)):
            wait_for(lambda a=address, p=port: _answers(server, a, p), name)
    inside(root)("psql", "-q", "-h", DATA, "-U", "postgres", said=_SQL)
    time.sleep(1)
    return server


def inside(root: Path) -> Callable[..., None]:
    """Run commands in the private root."""

    def command(*words: str, said: str = "") -> None:
        subprocess.run(["chroot", str(root), *words], input=said, text=True, check=True, capture_output=True)

    return command


def _answers(server: Host, address: str, port: int) -> bool:
    probe = ["nsenter", f"--net=/run/netns/{server.name}", "bash", "-c", f": < /dev/tcp/{address}/{port}"]
    return subprocess.run(probe, capture_output=True).returncode == 0


def _certificate(root: Path) -> None:
    key, certificate = root / "etc/ssl/recording.key", root / "etc/ssl/recording.crt"
    names = "subjectAltName=DNS:shop.example,DNS:mail.shop.example"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"),
        *("-subj", "/CN=shop.example", "-addext", names, "-keyout", str(key), "-out", str(certificate)),
    )
    key.chmod(0o600)


def _files(root: Path) -> None:
    """Files of many sizes to copy, some of them text."""
    folder = root / "srv/files"
    folder.mkdir(parents=True)
    for number in range(FILES):
        draw = seeded("file", number)
        size = int(200 * 1.3**number)
        path = folder / f"{('report', 'photo', 'backup', 'notes')[number % 4]}-{number:02d}.dat"
        words = " ".join(draw.choice(NAMED) for _ in range(size // 4)).encode()
        path.write_bytes(words[:size] if number % 2 else draw.randbytes(size))
    run("chmod", "-R", "a+rX", str(folder))
    (folder / "incoming").mkdir()
    (folder / "incoming").chmod(0o777)


def _database(root: Path) -> None:
    inside(root)("mkdir", "-p", DATA)
    inside(root)("chown", "postgres", DATA)
    inside(root)(*_AS_POSTGRES, str(POSTGRES / "initdb"), "-D", DATA, "-U", "postgres", "-A", "trust", "--no-sync")
    hosts = "local all all trust\nhost all clerk 192.0.2.0/24 scram-sha-256\n"
    inside(root)("tee", f"{DATA}/pg_hba.conf", said=hosts)
