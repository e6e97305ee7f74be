"""Each format: a literal line in, its fields and its text out."""

import polars as pl
import pytest

from core.config import ReadConfig
from core.tokenization.formats import FORMATS
from core.tokenization.headers import decode_escapes
from core.tokenization.normalize import Normalizer

# name, line, (timestamp_utc, level, host, component, normalized text)
CASES = [
    (
        "access",
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0200] "GET /index.php?id=7 HTTP/1.1" 200 2326 "-" "curl/8.1"',
        ("2023-10-10T11:55:36", None, "203.0.113.7", None, "get /index.php?id=num curl 2xx"),
    ),
    (
        "access",  # common log format, no agent
        '203.0.113.7 - frank [10/Oct/2023:13:55:36 +0000] "POST /login HTTP/1.0" 404 -',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "post /login 4xx"),
    ),
    (
        "access",  # escapes are decoded, twice encoded ones too; quotes cannot end the request
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /a%2527%20or%20%221%22=%221 HTTP/1.1" 500 0 "-" "-"',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, 'get /a\' or "num"="num 5xx'),
    ),
    (
        "access",  # the whole line quoted, as CSV exports leave it
        '"203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] ""GET /x HTTP/1.1"" 301 5 ""-"" ""Mozilla/5.0 (X11; Linux)"""',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "get /x mozilla 3xx"),
    ),
    (
        "access",  # TLS bytes sent to a plain port
        r'203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "\x16\x03\x01" 400 226 "-" "-"',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "␖␃␁ 4xx"),
    ),
    (
        "access",  # a browser is its first product, whatever it lists behind
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /x HTTP/1.1" 200 5 "https://a.example/?q=b" '
        '"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0" "198.51.100.4" 0.02',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "get /x mozilla 2xx"),
    ),
    (
        "access",  # a robot is the name it gives
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /x HTTP/1.1" 200 5 "-" '
        '"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "get /x mozilla googlebot 2xx"),
    ),
    (
        "access",  # and so is a tool
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "POST /x HTTP/1.1" 200 5 "-" "Mozilla/5.0 (Hydra)"',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "post /x mozilla (hydra) 2xx"),
    ),
    (
        "access",  # an agent that no client writes is evidence
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /x HTTP/1.1" 200 5 "-" "() { :;}; /bin/bash -c \'id\'"',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "get /x () { :;}; /bin/bash -c 'id' 2xx"),
    ),
    (
        "access",  # and what stands behind an honest beginning
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /x HTTP/1.1" 200 5 "-" "Mozilla/5.0 AND SLEEP(5)--"',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "get /x mozilla and sleep(num)-- 2xx"),
    ),
    (
        "access",  # so is such a referer
        '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /x HTTP/1.1" 200 5 "${jndi:ldap://a/b}" "curl/8"',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, 'get /x "${jndi:ldap://a/b}" curl 2xx'),
    ),
    ("request", "get http://localhost:8080/shop/a.jsp?id=3", (None, None, None, None, "get /shop/a.jsp?id=num")),
    (
        "bgl",
        "- 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.363779 R02-M1 RAS KERNEL INFO parity error corrected",
        ("2005-06-03T22:42:50", "INFO", "R02-M1", "KERNEL", "parity error corrected"),
    ),
    (
        "bgl",  # an alert's label is no part of the text either
        "KERNDTLB 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.363779 R02-M1 RAS KERNEL FATAL data TLB error",
        ("2005-06-03T22:42:50", "FATAL", "R02-M1", "KERNEL", "data tlb error"),
    ),
    (
        "thunderbird",
        "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root",
        ("2005-11-09T20:01:01", None, "dn228", "crond(pam_unix)", "session closed for user root"),
    ),
    (
        "hdfs",
        "081109 203518 143 INFO dfs.DataNode$DataXceiver: Receiving block blk_-160 src: /10.250.19.102:54106",
        ("2008-11-09T20:35:18", "INFO", None, "dfs.DataNode$DataXceiver", "receiving block block src: ip"),
    ),
    (
        "rfc5424",
        "<34>1 2003-10-11T22:14:15.003Z web1 su 77 ID47 - 'su root' failed for lonvick on /dev/pts/8",
        ("2003-10-11T22:14:15.003000", "CRITICAL", "web1", "su", "'su root' failed for lonvick on path"),
    ),
    (
        "syslog",
        "Nov 30 06:39:00 web1 sshd[21882]: Failed password for root from 203.0.113.7 port 22 ssh2",
        ("2020-11-30T06:39:00", None, "web1", "sshd", "failed password for root from ip port num ssh0"),
    ),
    (
        "syslog",
        "<35>Nov 30 06:39:00 web1 su: hello",
        ("2020-11-30T06:39:00", "ERROR", "web1", "su", "hello"),
    ),
    (
        "syslog",
        "2023-10-10T08:02:30.5+02:00 web1 cron[1]: done",
        ("2023-10-10T06:02:30.500000", None, "web1", "cron", "done"),
    ),
    (
        "app",
        "2023-10-27 16:13:52,938 [main] INFO  o.a.i.Config:105 - Start to read file /etc/x.properties",
        ("2023-10-27T16:13:52.938000", "INFO", None, "o.a.i.Config:105", "start to read file path"),
    ),
    (
        "app",
        "[Sun Dec 04 04:47:44 2005] [error] [client 203.0.113.7] Directory index forbidden: /var/www/html/",
        ("2005-12-04T04:47:44", "ERROR", None, None, "directory index forbidden: path"),
    ),
    (
        "app",
        "17/06/09 20:10:40 INFO executor.Backend: Registered",
        ("2017-06-09T20:10:40", "INFO", None, "executor.Backend", "registered"),
    ),
    (
        "app",
        "03-17 16:13:38.811  1702  2395 D WindowManager: printing 5",
        ("2020-03-17T16:13:38.811000", "DEBUG", None, "WindowManager", "printing num"),
    ),
    ("plain", "ERROR disk full", (None, "ERROR", None, None, "disk full")),
    ("plain", "java.lang.Exception: no way", (None, None, None, None, "java.lang.exception: no way")),
    (
        "app",  # inside JSON
        '{"time": "2023-10-10T08:02:30+02:00", "level": "warn", "msg": "2023-10-10 08:02:30 ERROR disk 5 full"}',
        ("2023-10-10T06:02:30", "WARN", None, None, "disk num full"),
    ),
    ("plain", '{"level": 50, "message": "pino says"}', (None, "ERROR", None, None, "pino says")),
]


@pytest.mark.parametrize(("name", "line", "expected"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)])
def test_fields_and_text(name: str, line: str, expected: tuple) -> None:
    normalizer = Normalizer(ReadConfig(year=2020))
    row = normalizer.process(1, pl.Series([line])).row(0, named=True)
    time = row["timestamp_utc"]
    found = (time and time.isoformat(), row["level"], row["host"], row["component"], normalizer.texts().row(0)[1])
    assert found == expected
    assert normalizer.format_counts == {name: 1}
    assert row["raw"] == line


def test_every_format_reads_its_own_example() -> None:
    examples = {form.name: form.example for form in FORMATS if form.example}
    normalizer = Normalizer()
    normalizer.process(1, pl.Series(list(examples.values())))
    assert normalizer.format_counts == dict.fromkeys(examples, 1)


def test_a_named_format_says_which_lines_do_not_look_like_it() -> None:
    normalizer = Normalizer(ReadConfig(format="hdfs"))
    hdfs = next(line for name, line, _ in CASES if name == "hdfs")
    table = normalizer.process(1, pl.Series(["hello", hdfs, ""]))
    assert table["rejection"].to_list() == ["does not look like hdfs; read as plain text", None, None]


def test_damaged_json_is_kept_and_noted() -> None:
    table = Normalizer().process(1, pl.Series(['{"message": "hi"', '{"other": 1}', '{"message": "hi"}']))
    assert table["rejection"][0] == "damaged JSON; read as text"
    assert table["rejection"][1].startswith("no message field")
    assert table["rejection"][2] is None


def test_the_year_turns_over_and_is_not_in_the_future() -> None:
    import datetime as dt

    normalizer = Normalizer(reference_utc=dt.datetime(2024, 2, 1, tzinfo=dt.UTC))
    lines = ["Dec 31 23:59:59 h a: x", "Jan  1 00:00:01 h a: x", "Dec 31 23:59:58 h a: late", "Jan  1 00:00:02 h a: x"]
    table = normalizer.process(1, pl.Series(lines))
    assert [time.isoformat() for time in table["timestamp_utc"]] == [
        "2023-12-31T23:59:59",
        "2024-01-01T00:00:01",
        "2023-12-31T23:59:58",
        "2024-01-01T00:00:02",
    ]


def test_json_times_in_seconds_thousandths_and_millionths_since_1970() -> None:
    stamps = ("1700000000", "1700000000.5", "1700000000500", "1700000000500000", '"1700000000.25"', "12345678")
    table = Normalizer().process(1, pl.Series([f'{{"ts": {stamp}, "msg": "x"}}' for stamp in stamps]))
    assert [time and time.isoformat() for time in table["timestamp_utc"]] == [
        "2023-11-14T22:13:20",
        *["2023-11-14T22:13:20.500000"] * 3,
        "2023-11-14T22:13:20.250000",
        None,
    ]


def test_timezone_of_lines_that_name_none() -> None:
    table = Normalizer(ReadConfig(timezone="Europe/Berlin")).process(1, pl.Series(["2023-07-01 12:00:00 INFO x"]))
    assert table["timestamp_utc"][0].isoformat() == "2023-07-01T10:00:00"


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("a%20b", "a b"),
        ("%252e%252e/", "../"),
        ("%C3%A9", "é"),
        ("%E9", "é"),  # not UTF-8
        ("%0a%00", "␊␀"),
        (r"\x41\x22", r"A\""),
        ("100%", "100%"),
    ],
)
def test_decode_escapes(text: str, decoded: str) -> None:
    assert decode_escapes(text) == decoded
