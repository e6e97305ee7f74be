"""Hosts of their own: network namespaces on one bridge, and a private root file system for the servers.

Everything here lives in the namespaces `record.py` starts in, so the kernel clears it away when the recording ends,
however it ends.
"""

from __future__ import annotations

import ctypes
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")  # RFC 5737: documentation only
MARKED_PORTS = 51000  # ports above are handed out one by one (labels.Truth); the kernel picks below

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of the set-up; its failure ends the recording and says why."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def seeded(*parts: object) -> Random:
    """A random generator of its own for each actor: threads then cannot disturb each other's choices."""
    return Random(" ".join(map(str, parts)))  # noqa: S311  # it plays people, it keeps no secret


def open_bridge() -> None:
    """One switch joins all hosts."""
    Path("/run/netns").mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    run("ip", "link", "set", "lo", "up")
    run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    run("ip", "link", "add", "switch", "type", "bridge")
    run("ip", "link", "set", "switch", "up")


class Host:
    """A machine on the bridge: a network namespace with one interface and one or more addresses."""

    _made = 0

    def __init__(self, name: str, addresses: Iterable[str]) -> None:
        self.name = name
        self.addresses = list(addresses)
        Host._made += 1
        port = f"port{Host._made}"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", port, "master", "switch", "up")
        for scope in ("all", "default"):  # else the kernel announces each new host to all
            self.run("sysctl", "-qw", f"net.ipv6.conf.{scope}.disable_ipv6=1")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "eth0", "up")
        for address in self.addresses:
            self.run("ip", "address", "add", f"{address}/32", "dev", "eth0")
        for network in NETWORKS:
            self.run("ip", "route", "add", network, "dev", "eth0", "src", self.addresses[0])
        self.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range=32768 {MARKED_PORTS - 1}")

    @property
    def address(self) -> str:
        """The first address."""
        return self.addresses[0]

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of the set-up on this host."""
        return run("nsenter", f"--net=/run/netns/{self.name}", *command, **options)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a daemon on this host; what it says outside its log is dropped."""
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name}", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def enter(self) -> None:
        """Move the calling thread, and what it will start, onto this host."""
        with Path(f"/run/netns/{self.name}").open() as handle:
            if _libc.setns(handle.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")

    def capture(self, path: Path, port: int | None, length: int) -> subprocess.Popen[bytes]:
        """Record the packets of one TCP port, or all; the first `length` bytes of each."""
        tcpdump = self.start(
            *("tcpdump", "-i", "eth0", "-n", "-s", str(length), "-w", str(path), "-U", "-Z", "root"),
            *(("tcp", "port", str(port)) if port else ()),
        )
        wait_for(lambda: path.exists() and path.stat().st_size >= 24, "tcpdump")
        return tcpdump


def private_root(scratch: Path) -> Path:
    """A copy-on-write view of this machine, for chroot: accounts, homes and configuration made there stay there.

    It expects /usr, /etc and /var on the root file system: an overlay does not cross mounts.
    """
    run("mount", "-t", "tmpfs", "tmpfs", str(scratch))
    root, upper, work = (scratch / name for name in ("root", "upper", "work"))
    for folder in (root, upper, work):
        folder.mkdir()
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", str(root))
    for folder in ("dev", "run", "tmp", "home", "var/log"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / folder))
    (root / "tmp").chmod(0o1777)
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    for name, numbers in {"null": "1 3", "zero": "1 5", "random": "1 8", "urandom": "1 9", "tty": "5 0"}.items():
        run("mknod", "-m", "666", str(root / "dev" / name), "c", *numbers.split())
    (root / "dev/pts").mkdir()
    run("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=666,gid=5,mode=620", "devpts", str(root / "dev/pts"))
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    (root / "etc/localtime").unlink(missing_ok=True)  # no zone file: UTC
    return root


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Wait until something is ready, but not for ever."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} is not ready after {seconds:.0f} s")
        time.sleep(0.05)


@dataclass
class Phase:
    """One split being recorded. Progress counts lines; the clock ends it where a slow machine would not."""

    name: str
    target: int
    seconds: float
    count: Callable[[], int]

    def __post_init__(self) -> None:
        self._first = self.count()
        self._start = self._asked = time.monotonic()
        self._done = 0

    @property
    def progress(self) -> float:
        """From 0 to 1, by lines or by time, whichever is further."""
        now = time.monotonic()
        if now - self._asked > 0.2:  # counting reads the log: not for every actor again
            self._asked, self._done = now, self.count() - self._first
        return max(self._done / self.target, (now - self._start) / self.seconds)

    @property
    def over(self) -> bool:
        """Whether the normal clients go home."""
        return self.progress >= 1

    def wait(self, fraction: float) -> None:
        """Wait until this much of the phase has passed: what is mixed in is spread by it."""
        while self.progress < fraction:
            time.sleep(0.1)


class Crew:
    """Threads on hosts. The first error of any of them is the error of the recording."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self, host: Host, work: Callable[..., None], *arguments: Any) -> None:
        """Let one actor work on a host."""

        def act() -> None:
            try:
                host.enter()
                work(*arguments)
            except BaseException as error:  # handed on by join
                self._errors.append(error)

        thread = threading.Thread(target=act, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait for all actors."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
