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
    (
        "access",  # Flask's and Django's own servers
        '203.0.113.7 - - [10/Oct/2023 13:55:36] "GET /a?id=7 HTTP/1.1" 500 -',
        ("2023-10-10T13:55:36", None, "203.0.113.7", None, "get /a?id=num 5xx"),
    ),
    (
        "access",
        '[10/Oct/2023 13:55:36] "GET /a?id=7 HTTP/1.1" 404 179',
        ("2023-10-10T13:55:36", None, None, None, "get /a?id=num 4xx"),
    ),
    (
        "app",  # as written for a terminal
        "\x1b[2m2023-10-10T08:02:30.123456Z\x1b[0m \x1b[31mERROR\x1b[0m \x1b[1;38mapp::db\x1b[0m: order 7 failed",
        ("2023-10-10T08:02:30.123456", "ERROR", None, "app::db", "order num failed"),
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
        "apache_error",
        "[Sun Dec 04 04:47:44 2005] [error] [client 203.0.113.7] Directory index forbidden: /var/www/html/",
        ("2005-12-04T04:47:44", "ERROR", "203.0.113.7", None, "directory index forbidden: path"),
    ),
    (
        "apache_error",
        "[Tue Oct 10 08:02:30.123456 2023] [core:error] [pid 9:tid 12] [client 203.0.113.7:4711] AH00126: Invalid URI",
        ("2023-10-10T08:02:30.123456", "ERROR", "203.0.113.7", "core", "ah0: invalid uri"),
    ),
    (
        "apache_error",  # of the server's own, by no client
        "[Tue Oct 10 08:02:30.123456 2023] [mpm_event:notice] [pid 9:tid 12] AH00489: Apache/2.4.57 configured",
        ("2023-10-10T08:02:30.123456", "NOTICE", None, "mpm_event", "ah0: apache/num configured"),
    ),
    (
        "access",  # uvicorn
        'INFO:     203.0.113.7:51234 - "GET /a?id=7 HTTP/1.1" 200 OK',
        (None, None, "203.0.113.7", None, "get /a?id=num 2xx"),
    ),
    (
        "squid",
        "1700000000.123     45 203.0.113.7 TCP_DENIED/403 3900 CONNECT mail.example:25 - HIER_NONE/- text/html",
        ("2023-11-14T22:13:20.123000", None, "203.0.113.7", None, "tcp_denied connect mail.example:num 4xx"),
    ),
    (
        "iis",
        "2023-10-10 08:02:30 10.0.0.2 GET /a.aspx id=7 443 - 203.0.113.7 Mozilla/5.0+(Windows+NT+10.0) - 200 0 0 15",
        ("2023-10-10T08:02:30", None, "203.0.113.7", None, "get /a.aspx id=num mozilla 2xx"),
    ),
    (
        "iis",  # no query, a referer, and an agent that no client writes
        "2023-10-10 08:02:30 10.0.0.2 POST /a.aspx - 443 bob 203.0.113.7 ${jndi:ldap://a} http://b.example/ 500 0 0 1",
        ("2023-10-10T08:02:30", None, "203.0.113.7", None, "post /a.aspx ${jndi:ldap://a} 5xx"),
    ),
    (
        "elb",
        "https 2023-10-10T08:02:30.123456Z app/shop/50dc 203.0.113.7:2817 10.0.0.1:80 0.0 0.001 0.0 502 - 34 366 "
        '"GET https://shop.example:443/a?id=7 HTTP/1.1" "curl/8.1" - -',
        ("2023-10-10T08:02:30.123456", None, "203.0.113.7", None, "get https://shop.example:num/a?id=num curl 5xx"),
    ),
    (
        "envoy",
        '[2023-10-10T08:02:30.123Z] "GET /api/7 HTTP/2" 503 UF 0 91 3 - "203.0.113.7, 10.0.0.1" "curl/8" "5d" "s" "-"',
        ("2023-10-10T08:02:30.123000", None, "203.0.113.7", None, "get /api/num uf 5xx"),
    ),
    (
        "audit",
        "node=web1 type=USER_LOGIN msg=audit(1700000000.123:456): pid=9 msg='op=login addr=203.0.113.7 res=failed'",
        ("2023-11-14T22:13:20.123000", None, "web1", "USER_LOGIN", "pid=num msg='op=login addr=ip res=failed'"),
    ),
    (
        "zeek",  # the connection's id would make each line a message of its own
        "1700000000.123456\tCXWv6p3arKYeMETxOg\t203.0.113.7\t40112\t192.0.2.9\t22\ttcp\tssh\t1.2\tSF",
        ("2023-11-14T22:13:20.123456", None, None, None, "ip num ip num tcp ssh num sf"),
    ),
    (
        "cisco",
        "<164>Oct 10 2023 08:02:30 fw1 : %ASA-4-106023: Deny tcp src outside:203.0.113.7/4711 dst inside:192.0.2.9/22",
        ("2023-10-10T08:02:30", "WARNING", "fw1", "ASA", "num: deny tcp src outside:ip/num dst inside:ip/num"),
    ),
    (
        "cisco",
        "Oct 10 08:02:30 sw1 4711: %LINK-3-UPDOWN: Interface Gi0/1, changed state to down",
        ("2020-10-10T08:02:30", "ERROR", "sw1", "LINK", "updown: interface gi0/num, changed state to down"),
    ),
    (
        "postgres",
        '2023-10-10 08:02:30.123 CEST [4711] app@shop FATAL:  password authentication failed for user "app"',
        ("2023-10-10T08:02:30.123000", "FATAL", None, None, 'password authentication failed for user "app"'),
    ),
    (
        "postgres",
        "2023-10-10 08:02:30.123 UTC [4711] LOG:  checkpoint starting: time",
        ("2023-10-10T08:02:30.123000", "LOG", None, None, "checkpoint starting: time"),
    ),
    (
        "mysql",
        "2023-10-10T08:02:30.123456Z 7 [Warning] [MY-010055] [Server] IP address '203.0.113.7' could not be resolved",
        ("2023-10-10T08:02:30.123456", "WARNING", None, None, "ip address 'ip' could not be resolved"),
    ),
    (
        "mysql",  # MariaDB
        "2023-10-10  8:02:30 0 [Note] InnoDB: Buffer pool(s) load completed",
        ("2023-10-10T08:02:30", "NOTE", None, None, "innodb: buffer pool(s) load completed"),
    ),
    (
        "fortigate",
        '<185>date=2023-10-10 time=08:02:30 devname="fw1" logid="0100" level="alert" user="admin" srcip=203.0.113.7',
        ("2023-10-10T08:02:30", "ALERT", "fw1", None, 'logid="num" user="admin" srcip=ip'),
    ),
    (
        "redis",
        "9:M 10 Oct 2023 08:02:30.123 # Connection with replica 203.0.113.7:6379 lost.",
        ("2023-10-10T08:02:30.123000", "WARNING", None, None, "connection with replica ip lost."),
    ),
    (
        "klog",
        "E1010 08:02:30.123456       1 reflector.go:126] Failed to list pods: connection refused",
        ("2020-10-10T08:02:30.123456", "ERROR", None, "reflector.go:126", "failed to list pods: connection refused"),
    ),
    (
        "klog",
        "W20231010 08:02:30.123456  4711 foo.cc:12] slow",
        ("2023-10-10T08:02:30.123456", "WARNING", None, "foo.cc:12", "slow"),
    ),
    (
        "ruby",
        "E, [2023-10-10T08:02:30.123456 #4711] ERROR -- shop: order 7 failed",
        ("2023-10-10T08:02:30.123456", "ERROR", None, "shop", "order num failed"),
    ),
    (
        "logfmt",
        'time="2023-10-10T08:02:30Z" level=error msg="failed to list pods" namespace=shop',
        ("2023-10-10T08:02:30", "ERROR", None, None, 'msg="failed to list pods" namespace=shop'),
    ),
    (
        "logfmt",
        'ts=2023-10-10T08:02:30.5Z caller=main.go:12 level=warn component=api msg="slow"',
        ("2023-10-10T08:02:30.500000", "WARN", None, None, 'component=api msg="slow"'),
    ),
    (
        "logfmt",
        'logger=sqlstore t=2023-10-10T08:02:30.5Z level=info msg="connected"',
        ("2023-10-10T08:02:30.500000", "INFO", None, "sqlstore", 'msg="connected"'),
    ),
    ("logfmt", 'level=info ts=2023-10-10T08:02:30Z msg="up"', ("2023-10-10T08:02:30", "INFO", None, None, 'msg="up"')),
    ("logfmt", 'level=error msg="down"', (None, "ERROR", None, None, 'msg="down"')),
    (
        "klog",  # what Kubernetes has put around it is taken off
        "2023-10-10T08:02:31.123456789Z stderr F E1010 08:02:30.5       1 reflector.go:126] Failed to list pods",
        ("2023-10-10T08:02:31.123456", "ERROR", None, "reflector.go:126", "failed to list pods"),
    ),
    (
        "json",
        '2023-10-10T08:02:31.123456789Z stdout F {"level": "warn", "msg": "order 7 is late", "logger": "shop"}',
        ("2023-10-10T08:02:31.123456", "WARN", None, "shop", "order num is late"),
    ),
    (
        "plain",
        "2023-10-10T08:02:31.123456789Z stderr F   File shop.py, line 12",
        ("2023-10-10T08:02:31.123456", None, None, None, "file shop.py, line num"),
    ),
    (
        "app",  # docker compose
        "web-1  | 2023-10-10 08:02:30 ERROR order 7 failed",
        ("2023-10-10T08:02:30", "ERROR", None, "web-1", "order num failed"),
    ),
    (
        "json",  # a JSON logger in Docker
        '{"log": "{\\"level\\": \\"error\\", \\"msg\\": \\"order 7 failed\\"}\\n", '
        '"stream": "stdout", "time": "2023-10-10T08:02:31Z"}',
        ("2023-10-10T08:02:31", "ERROR", None, None, "order num failed"),
    ),
    (
        "json",  # what a client may have sent is text
        '{"level": "error", "msg": "{\\"level\\": \\"debug\\", \\"msg\\": \\"all is well\\"}"}',
        (None, "ERROR", None, None, '{"level": "debug", "msg": "all is well"}'),
    ),
    ("dmesg", "[12345.678901] usb 1-1: reset", (None, None, None, None, "usb num-num: reset")),
    (
        "app",  # Spring Boot
        "2023-10-10T08:02:30.123+02:00  WARN 4711 --- [nio-8080-exec-1] c.a.Shop                 : order 7 failed",
        ("2023-10-10T06:02:30.123000", "WARN", None, "c.a.Shop", "order num failed"),
    ),
    ("app", "08:02:30.123 [main] ERROR c.a.Shop - failed", (None, "ERROR", None, "c.a.Shop", "failed")),  # Logback
    (
        "app",  # Tomcat
        "10-Oct-2023 08:02:30.123 SEVERE [main] org.apache.Foo.bar failed",
        ("2023-10-10T08:02:30.123000", "SEVERE", None, None, "org.apache.foo.bar failed"),
    ),
    (
        "app",  # Python
        "2023-10-10 08:02:30,123 - root - ERROR - order 7 failed",
        ("2023-10-10T08:02:30.123000", "ERROR", None, "root", "order num failed"),
    ),
    ("app", "ERROR:shop.orders:order 7 failed", (None, "ERROR", None, "shop.orders", "order num failed")),
    (
        "app",
        "2023-10-10 08:02:30,123 fail2ban.actions        [4711]: NOTICE  [sshd] Ban 203.0.113.7",
        ("2023-10-10T08:02:30.123000", "NOTICE", None, "fail2ban.actions", "[sshd] ban ip"),
    ),
    (
        "app",  # Laravel
        "[2023-10-10 08:02:30] production.ERROR: order failed",
        ("2023-10-10T08:02:30", "ERROR", None, "production", "order failed"),
    ),
    (
        "app",  # Loguru
        "2023-10-10 08:02:30.123 | WARNING  | __main__:order:12 - order failed",
        ("2023-10-10T08:02:30.123000", "WARNING", None, "__main__:order:12", "order failed"),
    ),
    (
        "app",  # gunicorn: a space before the zone
        "[2023-10-10 08:02:30 +0200] [4711] [ERROR] Worker timeout",
        ("2023-10-10T06:02:30", "ERROR", None, None, "worker timeout"),
    ),
    (
        "app",  # Elasticsearch
        "[2023-10-10T08:02:30,123][WARN ][o.e.c.r.DiskThreshold] [node-1] low disk",
        ("2023-10-10T08:02:30.123000", "WARN", None, None, "low disk"),
    ),
    (
        "app",  # Rust's tracing; what has two colons is no address
        "2023-10-10T08:02:30.123Z  INFO app::db: from app::db2",
        ("2023-10-10T08:02:30.123000", "INFO", None, "app::db", "from app::db0"),
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
    ("json", '{"level": 50, "message": "pino says"}', (None, "ERROR", None, None, "pino says")),
    (
        "json",  # MongoDB
        '{"t":{"$date":"2023-10-10T08:02:30.5+00:00"},"s":"E","c":"NETWORK","msg":"Connection ended"}',
        ("2023-10-10T08:02:30.500000", "ERROR", None, "NETWORK", "connection ended"),
    ),
    (
        "json",  # journalctl --output json
        '{"__REALTIME_TIMESTAMP":"1700000000500000","PRIORITY":"3","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"sshd",'
        '"MESSAGE":"Failed password"}',
        ("2023-11-14T22:13:20.500000", "ERROR", "web1", "sshd", "failed password"),
    ),
    (
        "json",  # Elastic Common Schema
        '{"@timestamp":"2023-10-10T08:02:30Z","log":{"level":"error"},"host":{"name":"web1"},"service":{"name":"shop"},'
        '"message":"order failed"}',
        ("2023-10-10T08:02:30", "ERROR", "web1", "shop", "order failed"),
    ),
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
    table = Normalizer().process(1, pl.Series(['{"message": "hi"', '{"message": "hi"}']))
    assert table["rejection"].to_list() == ["damaged JSON; read as text", None]
    asked = Normalizer(ReadConfig(message_field="said")).process(1, pl.Series(['{"other": 1}', '{"said": "hi"}']))
    assert asked["rejection"].to_list() == ["no field said; all its fields are read", None]


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


def test_what_the_columns_of_a_csv_say_of_a_line() -> None:
    stamps = [
        "2023-10-10T08:02:30+0200",
        "10/9/2023 1:02:03 PM",
        "Oct 9, 2023 @ 13:02:03.250",
        "1700000000.5",
        "soon",
        None,
    ]
    said = pl.DataFrame({"timestamp": stamps, "level": ["Error"] * 6, "host": ["web1"] * 6})
    table = Normalizer().process(1, pl.Series(["order 7 failed"] * 6), said=said)
    assert [time and time.isoformat() for time in table["timestamp_utc"]] == [
        "2023-10-10T06:02:30",
        "2023-10-09T13:02:03",
        "2023-10-09T13:02:03.250000",
        "2023-11-14T22:13:20.500000",
        None,
        None,
    ]
    assert table["level"].unique().to_list() == ["ERROR"]
    assert table["host"].unique().to_list() == ["web1"]


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
