"""L2: the formats that are recognized, a list of entries: adding one is an entry here and a golden case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

LEVEL_OF_WORD = {
    **dict.fromkeys(("TRACE", "DEBUG", "FINE", "FINER", "FINEST", "VERBOSE", "V", "D"), "debug"),
    **dict.fromkeys(("INFO", "INFORMATION", "I"), "info"),
    **dict.fromkeys(("NOTICE",), "notice"),
    **dict.fromkeys(("WARN", "WARNING", "W"), "warning"),
    **dict.fromkeys(("ERR", "ERROR", "SEVERE", "FAILURE", "E"), "error"),
    **dict.fromkeys(("CRIT", "CRITICAL", "ALERT", "EMERG", "EMERGENCY", "PANIC", "FATAL", "F"), "critical"),
    # numbers of pino and bunyan
    "10": "debug", "20": "debug", "30": "info", "40": "warning", "50": "error", "60": "critical",
}  # fmt: skip
"""Level word, upper case, to level class (records.LEVEL_CLASSES)."""

# RFC 5424 section 6.2.1: severity is the priority modulo 8.
LEVEL_OF_SEVERITY = ("critical", "critical", "critical", "error", "warning", "notice", "info", "debug")

_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_TIME}(?:[.,][0-9]+)?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?"
_SLASH = rf"[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}} {_TIME}(?:[.,][0-9]+)?"
_SHORT_SLASH = rf"[0-9]{{2}}/[0-9]{{2}}/[0-9]{{2}} {_TIME}"
_CTIME = rf"[A-Z][a-z]{{2}} {MONTH} [ 0-9][0-9] {_TIME}(?:\.[0-9]+)? [0-9]{{4}}"
_SYSLOG = rf"{MONTH} [ 0-9][0-9] {_TIME}"
_MONTH_DAY = rf"[0-9]{{2}}-[0-9]{{2}} {_TIME}\.[0-9]+"
_CAPITAL_LEVEL = (
    "TRACE|DEBUG|FINEST|FINER|FINE|VERBOSE|INFORMATION|INFO|NOTICE|WARNING|WARN|ERROR|ERR|SEVERE|FAILURE|"
    "CRITICAL|CRIT|ALERT|EMERGENCY|EMERG|PANIC|FATAL"
)
_LEVEL = (
    rf"(?:{_CAPITAL_LEVEL}|Debug|Info|Warning|Error|"
    r"trace|debug|info|notice|warning|warn|error|err|crit|critical|alert|emerg|panic|fatal)(?-u:\b)"
)
# Thread names, process numbers and dashes between timestamp and level.
_FILLER = r"(?: *(?:-|\[[^\]]*\]|[0-9]+)(?: |$))* *"
# A logger's name: dotted, slashed or with $, and closed by ": " or " - ".
_LOGGER = r"[A-Za-z_$][A-Za-z0-9_$]*(?:[.$/][A-Za-z0-9_$\[\]-]+)+(?::[0-9]+)?"
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
    """

    name: str
    description: str
    example: str
    segments: Sequence[tuple[str | None, str]]
    timestamp: str = ""
    request: bool = False
    pattern: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", "(?s)^" + "".join(f"({pattern})" for _, pattern in self.segments) + "$")


def _app(kind: str, timestamp: str, *, level: bool) -> list[Format]:
    """Application logs: timestamp, then thread and level in any dress; first with a logger's name, then without."""
    before: list[tuple[str | None, str]] = [(None, r"\[?"), ("timestamp", timestamp), (None, r"\]?,? *")]
    if level:
        before += [
            (None, _FILLER + r"\[?(?:[A-Za-z0-9_]+:)?"),
            ("level", _LEVEL),
            (None, r"\]?:? *(?:\[[^\]]*\] *)*(?:- )?"),
        ]
    else:
        before += [(None, r"(?:\[[^\]]*\] *)*(?:- )?")]
    logger: list[tuple[str | None, str]] = [("component", _LOGGER), (None, r"(?:: +| +- +)")]
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
            (None, r'\] "'),
            ("message", r'(?:[^"\\]|\\.)*?'),
            (None, r'(?: HTTP/[0-9.]+)?" '),
            ("status", r"[0-9]{3}"),
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
            ("timestamp", rf"(?:{_ISO}|-)"),
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
    *_app("iso", _ISO, level=True),
    *_app("slash", _SLASH, level=True),
    *_app("short_slash", _SHORT_SLASH, level=True),
    *_app("ctime", _CTIME, level=True),
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
    Format("syslog", "", "", [("timestamp", _ISO.replace("[T ]", "T")), *_SYSLOG_TAG], "iso"),
    *_app("iso", _ISO, level=False),
    *_app("slash", _SLASH, level=False),
    *_app("short_slash", _SHORT_SLASH, level=False),
    *_app("ctime", _CTIME, level=False),
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
        "JSON lines; the message field is found or named, and may itself be a line of any other format",
        '{"time": "2023-10-10T08:02:30Z", "level": "error", "message": "admin login failed from 192.168.1.1"}',
    ),
    "csv": ("CSV with a `line` column (label, session and tag columns are never part of the text)", "line,label"),
}

JSON_FIELDS = {
    "message": ("message", "msg", "log", "text", "event", "body", "@message", "MESSAGE"),
    "timestamp": ("timestamp", "@timestamp", "time", "ts"),
    "level": ("level", "severity", "levelname", "log.level", "lvl"),
    "host": ("host", "hostname", "host.name"),
    "component": ("logger", "component", "service", "name", "module"),
}
