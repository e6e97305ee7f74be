"""Who caused a line: the client, the first address of the message, the process; never a header's host."""

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
    ("Nov 22 03:13:09 gate sudo: bruno : TTY=pts/1 ; PWD=/home/bruno ; USER=root ; COMMAND=/usr/bin/du", None),
    ("Nov 22 03:13:09 10.9.8.7 CRON[77]: (root) CMD (run-parts /etc/cron.hourly)", "10.9.8.7 CRON[77]"),
    ("Nov 22 03:13:09 10.9.8.7 kernel: eth0 up at 12:30:45, version 1.2.3.4.5, mac 00:1a:2b:3c:4d:5e", None),
    ("<34>1 2003-10-11T22:14:15.003Z web1 su 77 ID47 - 'su root' failed", "web1 su[77]"),
    ("<34>1 2003-10-11T22:14:15.003Z web1 su - ID47 - 'su root' failed", None),
    ("- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: session closed", "dn228 crond[2915]"),
    ('198.51.100.26 - - [22/Nov/2026:03:11:14 +0000] "GET /?ip=192.0.2.5 HTTP/1.1" 200 1 "-" "x"', "198.51.100.26"),
    ('2001:db8::9 - - [22/Nov/2026:03:11:14 +0000] "GET / HTTP/1.1" 200 1295 "-" "x"', "2001:db8::9"),
    ("GET http://192.0.2.5/index.jsp?id=3", None),
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
