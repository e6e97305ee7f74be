"""Who caused a line: the client, the first address of the message, who acts, the process; never a header's host."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import ReadConfig
from core.tokenization import sources
from core.tokenization.normalize import Normalizer
from core.tokenization.sources import SOURCE

ALONE = [
    ("Nov 22 03:13:09 gate sshd[9]: Failed password for root from 192.0.2.5 port 22 ssh2", "192.0.2.5"),
    ("Nov 22 03:13:09 gate sshd[9]: Failed password for root from 2001:DB8::7 port 22 ssh2", "2001:db8::7"),
    ("Nov 22 03:13:09 gate sshd[9]: Failed password for root from ::ffff:192.0.2.5 port 22", "192.0.2.5"),
    ("Nov 22 03:13:09 gate sshd[9]: error: PAM: unknown user from 192.0.2.5.", "192.0.2.5"),
    ("Nov 22 03:13:09 gate sudo: bruno : TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/du", "gate user bruno"),
    ("Nov 22 03:13:09 10.9.8.7 CRON[77]: (root) CMD (run-parts /etc/cron.hourly)", "10.9.8.7 CRON[77]"),
    ("Nov 22 03:13:09 10.9.8.7 kernel: eth0 up at 12:30:45, version 1.2.3.4.5, mac 00:1a:2b:3c:4d:5e", None),
    ("<34>1 2003-10-11T22:14:15.003Z web1 su 77 ID47 - 'su root' failed", "web1 su[77]"),
    ("<34>1 2003-10-11T22:14:15.003Z web1 su - ID47 - 'su root' failed", None),
    ("- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: session closed", "dn228 crond[2915]"),
    ('198.51.100.26 - - [22/Nov/2026:03:11:14 +0000] "GET /?ip=192.0.2.5 HTTP/1.1" 200 1 "-" "x"', "198.51.100.26"),
    ('2001:db8::9 - - [22/Nov/2026:03:11:14 +0000] "GET / HTTP/1.1" 200 1295 "-" "x"', "2001:db8::9"),
    ("GET http://192.0.2.5/index.jsp?id=3", None),
    ("[Tue Oct 10 08:02:30 2023] [core:error] [pid 9] [client 192.0.2.5:47] AH0: from 192.0.2.9", "192.0.2.5"),
    ("2023-10-10 08:02:30 10.0.0.2 GET /a - 443 - 192.0.2.5 curl/8 - 200 0 0 15", "192.0.2.5"),
    ("1700000000.123 45 192.0.2.5 TCP_MISS/200 39 GET http://192.0.2.9/ - DIRECT/192.0.2.9 text/html", "192.0.2.5"),
    ("type=USER_LOGIN msg=audit(1700000000.123:4): pid=9 msg='addr=192.0.2.5 res=failed'", "192.0.2.5"),
    ("2023-10-10T08:02:30Z  INFO app::db: connected", None),
    ('{"time": "2023-10-10T08:02:30Z", "host": "10.0.0.1", "message": "login from 203.0.113.9 failed"}', "203.0.113.9"),
    ("081109 203518 143 INFO dfs.DataNode: Receiving blk_-16 src: /10.250.9.2:54106 dest: /10.2.3.4:5", "10.250.9.2"),
    ("peers [192.0.2.5]:443 and 192.0.2.6", "192.0.2.5"),
    ("no byte: 999.1.1.1, std::vector, v1.2.3", None),
    ("fe80::9851:b780:9d9d:a29e%eth0 is up", "fe80::9851:b780:9d9d:a29e"),
    ("", None),
]  # fmt: skip


def of(lines: list[str], chunk: int = 1_000) -> list[str | None]:
    normalizer = Normalizer(ReadConfig(sessions=SOURCE, year=2026))
    starts = range(0, len(lines), chunk)
    tables = [normalizer.process(1 + start, pl.Series(lines[start : start + chunk])) for start in starts]
    return pl.concat(tables)["session"].to_list()


@pytest.mark.parametrize(("line", "source"), ALONE)
def test_a_line_alone(line: str, source: str | None) -> None:
    assert of([line]) == [source]


def test_a_process_lends_its_address_to_its_other_lines() -> None:
    lines = [
        "Nov 22 03:13:08 gate sshd[34]: pam_unix(sshd:session): session opened for user chiara",
        "Nov 22 03:13:08 gate sshd[34]: Accepted publickey for chiara from 192.0.2.53 port 50749 ssh2",
        "Nov 22 03:13:08 door sshd[34]: pam_unix(sshd:session): session opened for user dora",
        "Nov 22 03:13:09 gate sshd-session[34]: session closed for user chiara",
        "Nov 22 03:13:09 gate sshd[34]: Accepted publickey for emil from 192.0.2.55 port 35673 ssh2",
        "Nov 22 03:13:09 gate sshd[34]: session closed for user emil",
    ]
    expected = ["192.0.2.53", "192.0.2.53", "door sshd[34]", "192.0.2.53", "192.0.2.55", "192.0.2.55"]
    assert of(lines) == expected
    in_chunks = of(lines, chunk=1)  # what a process will say later is not known then
    assert in_chunks == ["gate sshd[34]", *expected[1:]]


def test_processes_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KNOWN_PROCESSES", 2)
    lines = [f"Nov 22 03:13:08 gate sshd[{n}]: Connection from 192.0.2.{n} port 22" for n in (1, 2, 3)]
    lines += [f"Nov 22 03:13:09 gate sshd[{n}]: session closed" for n in (1, 2, 3)]
    assert of(lines, chunk=3)[3:] == ["gate sshd[1]", "192.0.2.2", "192.0.2.3"]


ACTING = [
    ("sudo:    {} : TTY=pts/0 ; PWD=/home/a ; USER=root ; COMMAND=/usr/bin/curl http://192.0.2.99/", True),
    ("sudo[76]:   {} : PWD=/home/a ; USER=root ; COMMAND=/usr/bin/su - deploy", True),
    ("sudo: {} : user NOT in sudoers ; TTY=pts/0 ; PWD=/home/a ; USER=root ; COMMAND=/usr/bin/id", True),
    ("sudo: {} : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id", True),
    ("sudo: pam_unix(sudo:session): session opened for user root(uid=0) by {}(uid=1001)", True),
    ("sudo: pam_unix(sudo:auth): authentication failure; logname= uid=1 euid=0 tty=x ruser={} rhost=  user=a", True),
    ("sudo: pam_unix(sudo:auth): auth could not identify password for [{}]", True),
    ("su[77]: (to root) {} on pts/1", True),
    ("su: FAILED SU (to root) {} on pts/1", True),
    ("su[77]: pam_unix(su-l:session): session opened for user deploy(uid=1019) by {}(uid=0)", True),
    ("sudo:     dora : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/echo x by {}(uid=1001)", False),
    ("sudo:     dora : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/echo {} : TTY=pts/0", False),
    ("su: FAILED SU (to x) {} on y) dora on pts/1", False),
    ("CRON[78]: pam_unix(cron:session): session opened for user {}(uid=1001) by (uid=0)", False),
    ("login[79]: pam_unix(login:session): session opened for user root(uid=0) by {}(uid=0)", False),
]  # fmt: skip


@pytest.mark.parametrize("user", ["alice", "svc.web-2_x", "alice@example.org", "EXAMPLE\\alice", "host$"])
@pytest.mark.parametrize(("line", "acts"), ACTING)
def test_who_acts_has_the_address_of_the_last_login(line: str, acts: bool, user: str) -> None:
    stamp = "Nov 22 03:13:08 gate"
    lines = [
        f"{stamp} sshd[34]: Accepted password for {user} from 192.0.2.1 port 50749 ssh2",
        f"{stamp} {line.format(user)}",
        f"{stamp} sshd[35]: Failed password for {user} from 192.0.2.66 port 50749 ssh2",
        f"{stamp} sshd-session[36]: Accepted publickey for {user} from 2001:DB8::7 port 50749 ssh2: ED25519 SHA256:x",
        f"{stamp} {line.format(user)}",
        f"Nov 22 03:13:08 door {line.format(user)}",
    ]
    for chunk in (len(lines), 1):
        _, first, _, _, second, elsewhere = of(lines, chunk)
        if acts:
            assert (first, second, elsewhere) == ("192.0.2.1", "2001:db8::7", f"door user {user}")
        else:
            assert not {first, second, elsewhere} & {"192.0.2.1", "2001:db8::7", f"door user {user}"}


def test_who_acts_lends_the_address_to_the_process() -> None:
    lines = [
        "Nov 22 03:13:08 gate su[77]: (to deploy) root on pts/2",  # by sudo: the next line says who
        "Nov 22 03:13:08 gate su[77]: pam_unix(su-l:session): session opened for user deploy(uid=1019) by alice(uid=0)",
        "Nov 22 03:13:08 gate sshd[34]: Accepted password for alice from 192.0.2.1 port 50749 ssh2",
        "Nov 22 03:13:08 gate su[78]: (to deploy) root on pts/2",
        "Nov 22 03:13:08 gate su[78]: pam_unix(su-l:session): session opened for user deploy(uid=1019) by alice(uid=0)",
        "Nov 22 03:13:08 gate su[77]: pam_unix(su-l:session): session closed for user deploy",
        "Nov 22 03:13:08 gate su[78]: pam_unix(su-l:session): session closed for user deploy",
        "Nov 22 03:13:09 gate useradd[88]: new user: name=alice, UID=1023, GID=1023, home=/home/alice, shell=/bin/sh",
    ]  # fmt: skip
    user, address = "gate user alice", "192.0.2.1"  # a login comes first: what was before stays the user's
    assert of(lines) == [user, user, address, address, address, user, address, "gate useradd[88]"]
    in_chunks = ["gate su[77]", user, address, "gate su[78]", address, user, address, "gate useradd[88]"]
    assert of(lines, chunk=1) == in_chunks


@pytest.mark.parametrize("chunk", [1, 9])
def test_sudo_without_a_pid_goes_on_with_the_user_it_named(chunk: int) -> None:
    lines = [
        "Nov 22 03:13:07 gate sudo: pam_unix(sudo:session): session closed for user root",
        "Nov 22 03:13:08 gate sshd[34]: Accepted password for alice from 192.0.2.1 port 50749 ssh2",
        "Nov 22 03:13:08 gate sudo:    alice : PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/id",
        "Nov 22 03:13:08 gate sudo: pam_unix(sudo:session): session opened for user root(uid=0) by (uid=1001)",
        "Nov 22 03:13:08 door sudo: pam_unix(sudo:session): session closed for user root",
        "Nov 22 03:13:08 gate sudo: pam_unix(sudo:session): session closed for user root",
        "Nov 22 03:13:09 gate sudo:     dora : PWD=/home/dora ; USER=root ; COMMAND=/usr/bin/id",
        "Nov 22 03:13:09 gate sudo: pam_unix(sudo:session): session closed for user root",
    ]
    dora = "gate user dora"
    assert of(lines, chunk) == [None, "192.0.2.1", "192.0.2.1", "192.0.2.1", None, "192.0.2.1", dora, dora]


def test_root_is_anyone() -> None:
    lines = [
        "Nov 22 03:13:08 gate sshd[34]: Accepted password for root from 192.0.2.1 port 50749 ssh2",
        "Nov 22 03:13:08 gate su[77]: (to postgres) root on none",
        "Nov 22 03:13:08 gate sudo:     root : PWD=/root ; USER=postgres ; COMMAND=/usr/bin/psql",
    ]
    assert of(lines) == ["192.0.2.1", "gate su[77]", "gate user root"]


@pytest.mark.parametrize(
    "user", ["two words", "a[1]", "(x)", "", ":", " : ", "a(uid=0)", "é 漢", "] by b(uid=1)", "\x00"]
)
@pytest.mark.parametrize("line", [line for line, _ in ACTING])
def test_a_hostile_name_breaks_nothing(line: str, user: str) -> None:
    lines = [
        f"Nov 22 03:13:08 gate sshd[34]: Accepted password for {user} from 192.0.2.1 port 50749 ssh2",
        f"Nov 22 03:13:08 gate {line.format(user)}",
    ]
    assert of(lines)[0] == "192.0.2.1"


def test_logins_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KNOWN_PROCESSES", 2)
    lines = [f"Nov 22 03:13:08 gate sshd[{n}]: Accepted password for u{n} from 192.0.2.{n} port 22" for n in (1, 2, 3)]
    lines += [f"Nov 22 03:13:09 gate sudo: u{n} : PWD=/ ; USER=root ; COMMAND=/bin/id" for n in (1, 2, 3)]
    assert of(lines, chunk=3)[3:] == ["gate user u1", "192.0.2.2", "192.0.2.3"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([line for line, _ in ALONE]), max_size=12), st.integers(1, 12))
def test_texts_and_lines_are_the_same_by_source(lines: list[str], chunk: int) -> None:
    lines = [*lines, "x"]
    plain, by_source = Normalizer(ReadConfig(year=2026)), Normalizer(ReadConfig(year=2026, sessions=SOURCE))
    for start in range(0, len(lines), chunk):
        raw = pl.Series(lines[start : start + chunk])
        a, b = (normalizer.process(1 + start, raw).drop("session") for normalizer in (plain, by_source))
        assert a.equals(b)
    assert plain.texts().equals(by_source.texts())


def test_a_column_of_the_input_goes_before_the_default_and_after_the_word() -> None:
    raw, column = pl.Series(["from 192.0.2.5"]), pl.Series(["job 7"])
    assert Normalizer(by_source=True).process(1, raw, None, column)["session"].to_list() == ["job 7"]
    assert Normalizer(by_source=True).process(1, raw)["session"].to_list() == ["192.0.2.5"]
    named = Normalizer(ReadConfig(sessions=SOURCE)).process(1, raw, None, column)
    assert named["session"].to_list() == ["192.0.2.5"]
    assert Normalizer().process(1, raw)["session"].to_list() == [None]
    regex = Normalizer(ReadConfig(sessions="from ([0-9]+)"), by_source=True).process(1, raw)
    assert regex["session"].to_list() == ["192"]
