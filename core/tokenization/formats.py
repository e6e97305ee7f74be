"""L2: the formats that are recognized, a list of entries: adding one is an entry here and a golden case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# RFC 5424 section 6.2.1: severity is the priority modulo 8.
LEVEL_OF_SEVERITY = ("critical", "critical", "critical", "error", "warning", "notice", "info", "debug")

LEVEL_OF_WORD = {
    **dict.fromkeys(("TRACE", "DEBUG", "DBG", "FINE", "FINER", "FINEST", "VERBOSE", "VRB", "V", "D", "."), "debug"),
    **dict.fromkeys(("INFO", "INF", "INFORMATION", "I", "LOG", "SYSTEM"), "info"),
    **dict.fromkeys(("NOTICE", "NOTE", "*"), "notice"),
    **dict.fromkeys(("WARN", "WRN", "WARNING", "W", "#"), "warning"),
    **dict.fromkeys(("ERR", "ERROR", "SEVERE", "FAILURE", "E"), "error"),
    **dict.fromkeys(("CRIT", "CRITICAL", "ALERT", "EMERG", "EMERGENCY", "PANIC", "FATAL", "FTL", "F"), "critical"),
    # numbers of pino and bunyan
    "10": "debug", "20": "debug", "30": "info", "40": "warning", "50": "error", "60": "critical",
    # of systemd's journal and of GELF
    **{str(severity): name for severity, name in enumerate(LEVEL_OF_SEVERITY)},
}  # fmt: skip
"""Level word, upper case, to level class (records.LEVEL_CLASSES)."""

_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_FRACTION = r"(?:[.,][0-9]+)?"
ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_TIME}{_FRACTION}(?:Z| ?[+-][0-9]{{2}}:?[0-9]{{2}})?"
_SLASH = rf"[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}} {_TIME}{_FRACTION}"
_SHORT_SLASH = rf"[0-9]{{2}}/[0-9]{{2}}/[0-9]{{2}} {_TIME}"
_CTIME = rf"[A-Z][a-z]{{2}} {MONTH} [ 0-9][0-9] {_TIME}(?:\.[0-9]+)? [0-9]{{4}}"
_SYSLOG = rf"{MONTH} [ 0-9][0-9] {_TIME}"
_MONTH_DAY = rf"[0-9]{{2}}-[0-9]{{2}} {_TIME}\.[0-9]+"
_DAY_MONTH_YEAR = rf"[0-9]{{2}}[- ]{MONTH}[- ][0-9]{{4}} {_TIME}{_FRACTION}"
_CLOCK = rf"{_TIME}{_FRACTION}"
# Written behind a time; the reader's own zone counts, for abbreviations are not unique.
_ZONE_WORD = r"(?: (?:UTC|GMT|CES?T|[ECMP][SD]T|EES?T|WES?T|MSK|IST|JST|KST|BST|AE[SD]T|NZ[SD]T|SGT|HKT))?"
_CAPITAL_LEVEL = (
    "TRACE|DEBUG|FINEST|FINER|FINE|VERBOSE|INFORMATION|INFO|NOTICE|WARNING|WARN|ERROR|ERR|SEVERE|FAILURE|"
    "CRITICAL|CRIT|ALERT|EMERGENCY|EMERG|PANIC|FATAL"
)
_LEVEL = (
    rf"(?:{_CAPITAL_LEVEL}|DBG|INF|WRN|FTL|VRB|Debug|Info|Warning|Error|"
    r"trace|debug|info|notice|warning|warn|error|err|crit|critical|alert|emerg|panic|fatal)(?-u:\b)"
)
# Thread names, process numbers and dashes between timestamp and level.
_FILLER = r"(?: *(?:-|\[[^\]]*\]|\{[^}]*\}|[0-9]+)(?: |$))* *"
# A logger's name: dotted, slashed or with $, and closed by ": " or " - ".
_LOGGER = r"[A-Za-z_$][A-Za-z0-9_$]*(?:(?:[.$/]|::)[A-Za-z0-9_$\[\]-]+)+(?::[0-9]+)?"
METHOD = r"(?i:get|post|put|head|delete|options|patch|connect|trace|propfind)"
_PLAIN_URL = r"[A-Za-z]+://[A-Za-z0-9.:_-]+(?:\.?[^.\"'`<>{}()\[\]$;|*\\^\x{2400}-\x{2421}])*\.?"
_PRODUCT = r"[A-Za-z][A-Za-z0-9_.-]*"
_VERSION = r"[A-Za-z0-9_.+-]*"
# Agent and referer in the characters their grammar has: quotes, braces and the like are what attacks are made of.
_COMMENT = r"[^()\"'`<>{}$\\|\x{2400}-\x{2421}]*"
_NAME = _COMMENT.replace("$", "$;")  # a comment of one part: (Hydra), while platforms are lists (X11; Linux)
_AGENT_PART = rf"(?:{_PRODUCT}(?:/{_VERSION})?|\({_COMMENT}\))"


@dataclass(frozen=True, eq=False)
class Format:
    """A way lines are written.

    Attributes:
        segments: (field, pattern) pairs covering the whole line; patterns hold no capturing group. Fields: timestamp,
            host, component, pid, level, message (several are joined by a space), status, priority; None is dropped.
        timestamp: the kind of timestamp, a key of `timestamps.PATTERNS`, or "".
        request: the message is an HTTP request, whose path and query stay visible.
        client: the host is the client that caused the line, and not who wrote it.
    """

    name: str
    description: str
    example: str
    segments: Sequence[tuple[str | None, str]]
    timestamp: str = ""
    request: bool = False
    client: bool = False
    pattern: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", "(?s)^" + "".join(f"({pattern})" for _, pattern in self.segments) + "$")


def _app(kind: str, timestamp: str, *, level: bool) -> list[Format]:
    """Application logs: timestamp, then thread and level in any dress; first with a logger's name, then without."""
    before: list[tuple[str | None, str]] = [
        (None, r"\[?"),
        ("timestamp", timestamp),
        (None, rf"{_ZONE_WORD}\]?[,:]? *"),
    ]
    if level:
        before += [
            (None, _FILLER + r"\[?(?:[A-Za-z0-9_]+:)?"),
            ("level", _LEVEL),
            (None, r" *\]?:? *(?:[0-9]+ +--- +)?(?:\[[^\]]*\] *)*(?:- )?"),  # Spring Boot: 4711 --- [main]
        ]
    else:
        before += [(None, r"(?:\[[^\]]*\] *)*(?:- )?")]
    logger: list[tuple[str | None, str]] = [("component", _LOGGER), (None, r"(?: *: +| +- +)")]
    return [
        Format("app", _APP_DESCRIPTION, _APP_EXAMPLE, [*before, *middle, ("message", ".*")], kind)
        for middle in (logger, [])
    ]


_APP_DESCRIPTION = "application log: a timestamp, then perhaps thread, level and logger"
_APP_EXAMPLE = "2023-10-10 08:02:30,123 [main] ERROR o.a.Login:55 - admin login failed from 192.168.1.1"
_ACCESS_DESCRIPTION = "Apache or nginx access log (common, combined, with or without virtual host, whole line quoted)"
_ACCESS_EXAMPLE = '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /index.html?id=7 HTTP/1.1" 200 2326 "-" "curl/8.1"'
_SYSLOG_DESCRIPTION = "syslog and auth.log (RFC 3164), also with an ISO 8601 timestamp"
_SYSLOG_EXAMPLE = "Nov 30 06:39:00 web1 sshd[21882]: Failed password for root from 203.0.113.7 port 22 ssh2"
_SYSLOG_TAG: list[tuple[str | None, str]] = [
    (None, " "),
    ("host", r"[^ :][^ ]*"),
    (None, " +"),
    ("component", r"(?:[^ :\[]+|)"),
    ("pid", r"(?:\[[0-9]+\])?"),
    (None, ": ?"),
    ("message", ".*"),
]

_REQUESTED: list[tuple[str | None, str]] = [
    (None, r'\] "'),
    ("message", r'(?:[^"\\]|\\.)*?'),
    (None, r'(?: HTTP/[0-9.]+)?" '),
    ("status", r"[0-9]{3}"),
]
_CISCO: list[tuple[str | None, str]] = [
    (None, r" ?:? ?%"),
    ("component", r"[A-Z][A-Z0-9_]*"),
    (None, "-"),
    ("priority", "[0-9]"),
    (None, "-"),
    ("message", r"[A-Z0-9_]+: .*"),
]
_APACHE_CLIENT: list[tuple[str | None, str]] = [
    (None, r"\[client "),
    ("host", r"[^\] ]+?"),
    (None, r"(?::[0-9]+)?\] *"),
]
_APACHE_2_2_ERROR: list[tuple[str | None, str]] = [
    (None, r"\["),
    ("timestamp", _CTIME),
    (None, r"\] \["),
    ("level", r"[a-z]+"),
    (None, r"\] "),
]
_APACHE_ERROR: list[tuple[str | None, str]] = [
    (None, r"\["),
    ("timestamp", _CTIME),
    (None, r"\] \["),
    ("component", r"[a-z0-9_-]*"),
    (None, ":"),
    ("level", r"[a-z]+"),
    (None, r"[0-9]?\] (?:\[pid [^\]]*\] )?(?:\[remote [^\]]*\] )?"),
]
_GLOG: list[tuple[str | None, str]] = [
    (None, r" +[0-9]+ "),
    ("component", r"[A-Za-z0-9_./+-]+:[0-9]+"),
    (None, r"\] ?"),
    ("message", ".*"),
]
_DMESG: list[tuple[str | None, str]] = [(None, r"(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]+\] "), ("message", ".*")]
# Behind the time who writes, and then the level: Python's usual, fail2ban, Monolog and Laravel, NLog and Loguru.
_LEVEL_BEHIND: list[list[tuple[str | None, str]]] = [
    [(None, " - "), ("component", r"[A-Za-z_][A-Za-z0-9_.]*"), (None, " - "), ("level", _LEVEL), (None, " - ")],
    [
        (None, " "),
        ("component", r"[A-Za-z][A-Za-z0-9_.]*"),
        (None, r" *\[[0-9]+\]: *"),
        ("level", _LEVEL),
        (None, " +"),
    ],
    [(None, r"\] "), ("component", r"[A-Za-z][A-Za-z0-9_-]*"), (None, r"\."), ("level", _LEVEL), (None, ": ")],
    [(None, r" *\| *"), ("level", _LEVEL), (None, r" *\| *"), ("component", r"[^| ]+"), (None, r"(?: *\| *| - )")],
]

FORMATS: tuple[Format, ...] = (
    Format(
        "access",
        _ACCESS_DESCRIPTION,
        _ACCESS_EXAMPLE,
        [
            (None, r"(?:[A-Za-z0-9_.-]+:[0-9]+ )?"),
            ("host", r"[0-9A-Za-z.:%_-]+"),
            (None, r" [^ ]+ (?:[^ ]+|[^\[\]]+) \["),
            ("timestamp", rf"[0-9]{{2}}/{MONTH}/[0-9]{{4}}:{_TIME} [+-][0-9]{{4}}"),
            *_REQUESTED,
            # Who sent it, in few words, or each client would make each page another text: the agent's first product and
            # the name it gives (sqlmap, curl, Googlebot), browsers alike. A referer or agent that is not written as
            # RFC 9110 writes them (sections 10.1.3 and 10.1.5) may carry an attack: it is told in full.
            (None, rf' (?:[0-9]+|-)(?: "(?:-|{_PLAIN_URL}|)"(?: "|)|)'),
            ("message", r'(?: "(?:[^"\\]|\\.)*"|)'),
            (None, r'(?: "|)(?:-"|)'),
            ("message", rf"(?:{_PRODUCT}|)"),
            (None, rf"(?:/{_VERSION} (?:\(compatible; |\({_COMMENT};{_COMMENT}\)|)|)"),
            ("message", rf"(?:{_PRODUCT}|\({_NAME}\)|)"),
            (None, rf'(?:(?:/{_VERSION})?(?:;? ?{_COMMENT}\))?(?: {_AGENT_PART})*(?:".*)?$|)'),
            ("message", r'(?:[^"\\]|\\.)*'),
            (None, ".*"),
        ],
        "access",
        request=True,
        client=True,
    ),
    Format(
        "access",
        "",
        "",
        [  # the servers that Python frameworks develop with: no zone, perhaps no client
            ("host", r"(?:[0-9A-Za-z.:_-]+|)"),
            (None, r"(?: - - )?\["),
            ("timestamp", rf"[0-9]{{2}}/{MONTH}/[0-9]{{4}} {_TIME}"),
            *_REQUESTED,
            (None, r" [^ ]+"),
        ],
        "day_month_year",
        request=True,
        client=True,
    ),
    Format(
        "access",
        "",
        "",
        [  # uvicorn
            (None, r"INFO: +"),
            ("host", r"[0-9A-Fa-f.:\[\]]+?"),
            (None, r':[0-9]+ - "'),
            ("message", r"[A-Z]+ [^ ]*"),
            (None, r' HTTP/[0-9.]+" '),
            ("status", r"[0-9]{3}"),
            (None, r".*"),
        ],
        request=True,
        client=True,
    ),
    Format(
        "squid",
        "Squid access log (native)",
        "1700000000.123     45 203.0.113.7 TCP_DENIED/403 3900 CONNECT mail.example:25 - HIER_NONE/- text/html",
        [
            ("timestamp", r"[0-9]{10}\.[0-9]{3}"),
            (None, r" +-?[0-9]+ "),
            ("host", r"[^ ]+"),
            (None, " "),
            ("message", r"[A-Z_]+"),
            (None, "/"),
            ("status", r"[0-9]{3}"),
            (None, r" [0-9]+ "),
            ("message", r"[A-Z_]+ [^ ]+"),
            (None, r" .*"),
        ],
        "epoch",
        request=True,
        client=True,
    ),
    Format(
        "iis",
        "Microsoft IIS (W3C extended) without its #Fields line, in the default order",
        "2023-10-10 08:02:30 10.0.0.2 GET /index.aspx id=7 443 - 203.0.113.7 Mozilla/5.0+(Windows) - 200 0 0 15",
        [
            ("timestamp", rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {_TIME}"),
            (None, r" [0-9A-Fa-f.:%]+ "),
            ("message", r"[A-Z]+ [^ ]+"),
            (None, r" -?"),
            ("message", r"(?:[^ -][^ ]*|)"),
            (None, r" [0-9]+ [^ ]+ "),
            ("host", r"[0-9A-Fa-f.:%]+"),
            (None, r" -?"),
            ("message", rf"(?:{_PRODUCT}|)"),
            # Blanks are written as +. What an agent's grammar does not have is told, as in an access log.
            (None, r"[^ \"'`<>{}$\\|\x{2400}-\x{2421}]*"),
            ("message", r"[^ ]*"),
            (None, r" (?:[^ ]+ )?"),
            ("status", r"[0-9]+"),  # folding may shorten numbers so far behind (folding.py)
            (None, r" [0-9]+ [0-9]+(?: .*)?"),
        ],
        "iso",
        request=True,
        client=True,
    ),
    Format(
        "elb",
        "AWS load balancer (classic and application)",
        "https 2023-10-10T08:02:30.123456Z app/shop/50dc 203.0.113.7:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "
        '"GET https://shop.example:443/a?id=7 HTTP/1.1" "curl/8.1" - -',
        [
            (None, r"(?:(?:https?|h2|grpcs|wss?) )?"),
            ("timestamp", ISO.replace("[T ]", "T")),
            (None, r" [^ ]+ "),
            ("host", r"[0-9A-Fa-f.:\[\]]+?"),
            (None, r":[0-9]+ [^ ]+ -?[0-9.]+ -?[0-9.]+ -?[0-9.]+ "),
            ("status", r"[0-9]*"),
            (None, r'-? (?:[0-9]+|-) [0-9]+ [0-9]+ "'),
            ("message", r'(?:[^"\\]|\\.)*?'),
            (None, r'(?: HTTP/[0-9.]+)? ?" "'),
            ("message", rf"(?:{_PRODUCT}|)"),
            (None, rf"(?:/{_VERSION}(?: \({_COMMENT}\))?(?: {_AGENT_PART})*|-)?"),
            ("message", r'(?:[^"\\]|\\.)*'),
            (None, r'".*'),
        ],
        "iso",
        request=True,
        client=True,
    ),
    Format(
        "envoy",
        "Envoy and Istio access log (default fields)",
        '[2023-10-10T08:02:30.123Z] "GET /api/7 HTTP/2" 503 UF 0 91 3 - "203.0.113.7" "curl/8.1" "5d-7f" "shop" "-"',
        [
            (None, r"\["),
            ("timestamp", ISO),
            *_REQUESTED,
            (None, " -?"),
            ("message", r"(?:[A-Z][A-Z,]*|)"),  # what went wrong: UF, no connection; NR, no route
            (None, r' [^"]*"-?'),
            ("host", r'(?:[^", -][^", ]*|)'),
            (None, ".*"),
        ],
        "iso",
        request=True,
        client=True,
    ),
    Format(
        "request",
        "a bare HTTP request: method and target",
        "GET http://shop.example/index.jsp?id=3",
        [
            ("message", rf"{METHOD} +"),
            (None, r"(?:https?://[^/ ]+)?"),
            ("message", r"/.*?"),
            (None, r"(?: HTTP/[0-9.]+)?"),
        ],
        request=True,
    ),
    Format(
        "bgl",
        "Blue Gene/L RAS log; a leading label column is recognized and left out of the text",
        "- 1117838570 2005.06.03 R02-M1-N0 2005-06-03-15.42.50.363779 R02-M1-N0 RAS KERNEL INFO cache parity",
        [
            (None, r"(?:(?:-|[A-Z][A-Z0-9_]*) )?"),
            ("timestamp", r"[0-9]{10}"),
            (None, r" [0-9]{4}\.[0-9]{2}\.[0-9]{2} "),
            ("host", r"[^ ]+"),
            (None, r" [0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[0-9]+ [^ ]+ [^ ]+ "),
            ("component", r"[^ ]+"),
            (None, " "),
            ("level", r"[A-Z]+"),
            (None, r" *"),
            ("message", r".*"),
        ],
        "epoch",
    ),
    Format(
        "thunderbird",
        "Thunderbird log; a leading label column is recognized and left out of the text",
        "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root",
        [
            (None, r"(?:(?:-|[A-Z][A-Z0-9_]*) )?"),
            ("timestamp", r"[0-9]{10}"),
            (None, r" [0-9]{4}\.[0-9]{2}\.[0-9]{2} "),
            ("host", r"[^ ]+"),
            (None, rf" {MONTH} +[0-9]{{1,2}} {_TIME} [^ ]+ "),
            ("component", r"(?:[^ :\[]+|)"),
            ("pid", r"(?:\[[0-9]*\])?"),
            (None, ":? ?"),
            ("message", r".*"),
        ],
        "epoch",
    ),
    Format(
        "hdfs",
        "Hadoop file system log",
        "081109 203518 143 INFO dfs.DataNode$DataXceiver: Receiving block blk_-1608999687919862906",
        [
            ("timestamp", r"[0-9]{6} [0-9]{6}"),
            (None, r" [0-9]+ "),
            ("level", _LEVEL),
            (None, " "),
            ("component", r"[^ :]+"),
            (None, ": "),
            ("message", r".*"),
        ],
        "hdfs",
    ),
    Format(
        "rfc5424",
        "syslog (RFC 5424): priority, version and ISO 8601 timestamp",
        "<34>1 2003-10-11T22:14:15.003Z web1 su 77 ID47 - 'su root' failed for lonvick on /dev/pts/8",
        [
            (None, "<"),
            ("priority", r"[0-9]{1,3}"),
            (None, r">[0-9]{1,2} "),
            ("timestamp", rf"(?:{ISO}|-)"),
            (None, " "),
            ("host", r"[^ ]+"),
            (None, " "),
            ("component", r"[^ ]+"),
            (None, " "),
            ("pid", "[^ ]+"),
            (None, r' [^ ]+ (?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+) ?\x{FEFF}?'),
            ("message", r".*"),
        ],
        "iso",
    ),
    Format(
        "audit",
        "Linux audit log",
        "type=USER_LOGIN msg=audit(1700000000.123:456): pid=9 uid=0 msg='op=login addr=203.0.113.7 res=failed'",
        [
            (None, r"(?:node=)?"),
            ("host", r"(?:[^ =]+|)"),
            (None, r" ?type="),
            ("component", r"[A-Z0-9_]+"),
            (None, r" msg=audit\("),
            ("timestamp", r"[0-9]{10}\.[0-9]+"),
            (None, r":[0-9]+\): *"),
            ("message", r".*"),
        ],
        "epoch",
    ),
    Format(
        "zeek",
        "Zeek logs of connections and of what they carry (tab-separated)",
        "1700000000.123456\tCXWv6p3arKYeMETxOg\t203.0.113.7\t40112\t192.0.2.9\t22\ttcp\tssh\t1.2\tSF",
        [("timestamp", r"[0-9]{10}\.[0-9]{6}"), (None, r"\t[A-Za-z0-9]{16,20}\t"), ("message", r".*")],
        "epoch",
    ),
    Format(
        "cisco",
        "Cisco ASA and IOS, alone or in syslog",
        "Oct 10 2023 08:02:30 fw1 : %ASA-4-106023: Deny tcp src outside:203.0.113.7/4711 dst inside:192.0.2.9/22",
        [
            (None, r"(?:<[0-9]{1,3}>)?"),
            ("timestamp", rf"{MONTH} [ 0-9][0-9] [0-9]{{4}} {_TIME}"),
            (None, " ?"),
            ("host", r"(?:[^ :%]+|)"),
            *_CISCO,
        ],
        "month_day_year",
    ),
    Format(
        "cisco",
        "",
        "",
        [
            (None, r"(?:<[0-9]{1,3}>)?"),
            ("timestamp", _SYSLOG),
            (None, " "),
            ("host", r"[^ :%]+"),
            (None, r"[^%]*"),
            *_CISCO,
        ],
        "syslog",
    ),
    Format(
        "fortigate",
        "FortiGate",
        'date=2023-10-10 time=08:02:30 devname="fw1" logid="0100032002" level="alert" user="admin" srcip=203.0.113.7',
        [
            (None, r"(?:<[0-9]{1,3}>)?date="),
            ("timestamp", rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} time={_TIME}"),
            (None, r' +devname="?'),
            ("host", r'[^" ]+'),
            (None, r'"? '),
            ("message", r".*?"),
            (None, r'level="?'),
            ("level", r"[a-z]+"),
            (None, r'"? *'),
            ("message", r".*"),
        ],
        "date_time",
    ),
    Format(
        "apache_error",
        "Apache error log",
        "[Tue Oct 10 08:02:30.123456 2023] [core:error] [pid 9:tid 12] [client 203.0.113.7:4711] AH00126: Invalid URI",
        [*_APACHE_ERROR, *_APACHE_CLIENT, ("message", ".*")],
        "ctime",
        client=True,
    ),
    Format("apache_error", "", "", [*_APACHE_ERROR, ("message", ".*")], "ctime"),
    Format("apache_error", "", "", [*_APACHE_2_2_ERROR, *_APACHE_CLIENT, ("message", ".*")], "ctime", client=True),
    Format(
        "postgres",
        "PostgreSQL (log_line_prefix as shipped, or as Debian has it)",
        '2023-10-10 08:02:30.123 UTC [4711] app@shop FATAL:  password authentication failed for user "app"',
        [
            ("timestamp", ISO.replace("[T ]", " ")),
            (None, rf"{_ZONE_WORD} \[[0-9]+\] (?:[^ :]+@[^ :]+ )?"),
            ("level", r"(?:DEBUG|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC|DETAIL|HINT|STATEMENT|CONTEXT|QUERY)"),
            (None, r"[0-9]?:  "),
            ("message", r".*"),
        ],
        "iso",
    ),
    Format(
        "mysql",
        "MySQL and MariaDB error log",
        "2023-10-10T08:02:30.123456Z 7 [Warning] [MY-010055] [Server] IP address '203.0.113.7' could not be resolved",
        [
            ("timestamp", rf"(?:{ISO}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}  [0-9]:[0-9]{{2}}:[0-9]{{2}})"),
            (None, r" +[0-9]+ \["),
            ("level", r"(?:Note|System|Warning|Error|ERROR)"),
            (None, r"\] *(?:\[[^\]]*\] *)*"),
            ("message", r".*"),
        ],
        "iso",
    ),
    Format(
        "redis",
        "Redis",
        "9:M 10 Oct 2023 08:02:30.123 # Connection with replica 203.0.113.7:6379 lost.",
        [
            (None, r"[0-9]+:[A-Z] "),
            ("timestamp", _DAY_MONTH_YEAR),
            (None, " "),
            ("level", r"[.*#]?"),
            (None, "-? "),
            ("message", ".*"),
        ],
        "day_month_year",
    ),
    Format(
        "klog",
        "Kubernetes and glog",
        "E1010 08:02:30.123456       1 reflector.go:126] Failed to list pods: connection refused",
        [("level", "[DIWEF]"), ("timestamp", rf"[0-9]{{4}} {_TIME}\.[0-9]+"), *_GLOG],
        "glog",
    ),
    Format("klog", "", "", [("level", "[DIWEF]"), ("timestamp", rf"[0-9]{{8}} {_TIME}\.[0-9]+"), *_GLOG], "glog_year"),
    Format(
        "ruby",
        "Ruby's Logger and Rails",
        "E, [2023-10-10T08:02:30.123456 #4711] ERROR -- shop: order failed",
        [
            (None, r"[A-Z], \["),
            ("timestamp", ISO),
            (None, r" #[0-9]+\] +"),
            ("level", r"[A-Z]+"),
            (None, " -- "),
            ("component", r"[^:]*"),
            (None, ": ?"),
            ("message", ".*"),
        ],
        "iso",
    ),
    Format(
        "logfmt",
        "key=value lines that begin with time or level (Go's slog, logrus, Prometheus, Grafana)",
        'time="2023-10-10T08:02:30Z" level=error msg="failed to list pods" namespace=shop',
        [
            (None, r"(?:logger=)?"),
            ("component", r"(?:[^ =\"]+|)"),
            (None, r' ?(?:time|ts|t)="?'),
            ("timestamp", ISO),
            (None, r'"? +(?:(?:caller|source)=[^ ]+ +)?(?:level|lvl)="?'),
            ("level", _LEVEL),
            (None, r'"? *'),
            ("message", ".*"),
        ],
        "iso",
    ),
    Format(
        "logfmt",
        "",
        "",
        [
            (None, r'(?:level|lvl)="?'),
            ("level", _LEVEL),
            (None, r'"? +(?:time|ts|t)="?'),
            ("timestamp", ISO),
            (None, r'"? *'),
            ("message", ".*"),
        ],
        "iso",
    ),
    Format("logfmt", "", "", [(None, r'(?:level|lvl)="?'), ("level", _LEVEL), (None, r'"? +'), ("message", ".*")]),
    Format("dmesg", "the kernel's ring buffer", "[12345.678901] usb 1-1: device descriptor read/64, error -71", _DMESG),
    *(
        Format("app", "", "", [(None, r"\[?"), ("timestamp", ISO), *middle, ("message", ".*")], "iso")
        for middle in _LEVEL_BEHIND
    ),
    *_app("iso", ISO, level=True),
    *_app("slash", _SLASH, level=True),
    *_app("short_slash", _SHORT_SLASH, level=True),
    *_app("ctime", _CTIME, level=True),
    *_app("day_month_year", _DAY_MONTH_YEAR, level=True),
    *_app("", _CLOCK, level=True),  # Logback's own: the day is not told
    Format(
        "app",
        "",
        "",
        [  # Android: a single letter is the level
            ("timestamp", _MONTH_DAY),
            (None, r" +[0-9]+ +[0-9]+ +"),
            ("level", "[VDIWEF]"),
            (None, " "),
            ("component", r"[^ :]+"),
            (None, r" *: "),
            ("message", ".*"),
        ],
        "month_day",
    ),
    Format(
        "syslog",
        _SYSLOG_DESCRIPTION,
        _SYSLOG_EXAMPLE,
        [(None, "<"), ("priority", "[0-9]{1,3}"), (None, ">"), ("timestamp", _SYSLOG), *_SYSLOG_TAG],
        "syslog",
    ),
    Format("syslog", "", "", [("timestamp", _SYSLOG), *_SYSLOG_TAG], "syslog"),
    Format(
        "syslog",
        "",
        "",
        [("timestamp", _SYSLOG), (None, " "), ("host", r"[^ :][^ ]*"), (None, " +"), ("message", ".*")],
        "syslog",
    ),
    Format("syslog", "", "", [("timestamp", ISO.replace("[T ]", "T")), *_SYSLOG_TAG], "iso"),
    *_app("iso", ISO, level=False),
    *_app("slash", _SLASH, level=False),
    *_app("short_slash", _SHORT_SLASH, level=False),
    *_app("ctime", _CTIME, level=False),
    *_app("day_month_year", _DAY_MONTH_YEAR, level=False),
    Format(
        "app",
        "",
        "",
        [  # Python's logging, unless told otherwise
            ("level", rf"(?:{_CAPITAL_LEVEL})"),
            (None, ":"),
            ("component", r"[A-Za-z_][A-Za-z0-9_.]*"),
            (None, ":"),
            ("message", ".*"),
        ],
    ),
    Format(
        "plain",
        "plain text, whatever it is; a leading level in capitals is recognized",
        "ERROR disk full",
        [(None, r" *\[?"), ("level", rf"(?:{_CAPITAL_LEVEL})(?-u:\b)"), (None, r"\]?:? +"), ("message", r".+")],
    ),
    Format("plain", "", "", [("message", r".*")]),
)
"""Every format, first match wins: the stricter shapes come first, and "plain" takes the rest."""

CONTAINERS = {
    "json": (
        "JSON lines; the message is found or its field named, and may itself be a line of any format; else all fields",
        '{"time": "2023-10-10T08:02:30Z", "level": "error", "message": "admin login failed from 192.168.1.1"}',
    ),
    "csv": (
        "CSV with a `line` column (label, session and tag are no part of the text), or with a message and a time",
        "line,label",
    ),
}

JSON_FIELDS = {
    "message": (
        "message",
        "msg",
        "log",
        "text",
        "event",
        "body",
        "@message",
        "MESSAGE",
        "short_message",
        "textPayload",
        "jsonPayload.message",
        "body.stringValue",
        "@m",
        "@mt",
    ),
    "timestamp": (
        "timestamp",
        "@timestamp",
        "time",
        "ts",
        "@t",
        "t.$date",
        "__REALTIME_TIMESTAMP",
        "eventTime",
        "requestReceivedTimestamp",
        "published",
        "datetime",
        "date",
    ),
    "level": ("level", "severity", "levelname", "log.level", "lvl", "@l", "PRIORITY", "s"),
    "host": ("host.name", "hostname", "host", "_HOSTNAME"),
    "component": (
        "logger",
        "component",
        "service.name",
        "service",
        "name",
        "module",
        "logger_name",
        "SYSLOG_IDENTIFIER",
        "c",
    ),
}
