"""Who caused a line: the client of a request, the address in a message, the user who acts, or the process.

Sessions by source (`ReadConfig.sessions` is `SOURCE`) put the lines of one client together. A server's processes write
lines without the address too; they get it from the lines of the same process. sudo and su name the user who acts, whose
address is the one that they last logged in from.
"""

from __future__ import annotations

import polars as pl

from core.tokenization.formats import FORMATS

SOURCE = "source"
"""The word that asks for sessions by source, in place of a regular expression."""

KNOWN_PROCESSES = 100_000  # whose address is kept for later chunks, the oldest dropped; as many users

_HEX = "[0-9A-Fa-f]{1,4}"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[0-9]{1,2})"
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_IPV6 = rf"(?:{_HEX}:){{7}}{_HEX}|(?:{_HEX}:){{1,6}}(?::{_HEX}){{1,6}}|(?:{_HEX}:){{2,7}}:|::(?:{_HEX}:){{0,6}}{_HEX}"
# Between characters that no address has; of an IPv4 address written as IPv6 (::ffff:192.0.2.1) the IPv4 part.
_ADDRESS = (
    rf"(?:^|[^0-9A-Za-z.:_])(?:(?:::[Ff]{{4}}:)?({_IPV4})(?:$|[^0-9A-Za-z._]|\.(?:$|[^0-9]))"
    rf"|({_IPV6})(?:$|[^0-9A-Za-z:_]))"
)
_OF_CLIENTS = tuple({form.name for form in FORMATS if form.request or form.client})

_NAME = r"([^\s:()\[\]]+)"
_LOGIN = rf"^Accepted \S+ for {_NAME} from "  # sshd
# Who acts in a line of sudo or su. What users type (a command, the user they want to be) must not pass for a name.
_ACTING = (
    rf"^\s*{_NAME} : ",  # alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id
    rf"^(?:FAILED SU )?\(to .*\) {_NAME} on \S+\s*$",  # (to root) alice on pts/1
    rf"^pam_.* by {_NAME}\(uid=[0-9]+\)\s*$",  # session opened for user root(uid=0) by alice(uid=1001)
    rf"^pam_.*? ruser={_NAME} ",  # authentication failure; logname= uid=1001 euid=0 tty=pts/1 ruser=alice rhost=
    rf"^pam_.* identify password for \[{_NAME}\]\s*$",
)
_ROOT = "root"  # anyone by then: cron, a script, whoever has run sudo before; its last login says little

_HOST = pl.when(pl.col("host") != "").then("host")


class Sources:
    """Sources of lines, chunk after chunk: an address seen for a process or a user's login holds in later chunks."""

    def __init__(self) -> None:
        self._of_process = _Last("process")
        self._of_user = _Last("user")

    def of(self, lines: pl.DataFrame) -> pl.Series:
        """The source of each line of a chunk.

        Args:
            lines: [N] format, line, message_at (where the message begins), client (the host parsed of the line), host,
                component, pid; strings but for the place.

        Returns:
            [N] the client of a request. Of a line of sudo or su the address of the last login of the user who acts,
            else host and user, as in "web1 user alice". Of other lines the first address of the message (a header's
            host may be an address, and is none's source). Where there is none of these, what the process had in a line
            before, else what it has later in this chunk, else host and process, as in "web1 sshd[8334]". sudo often
            names no pid: its lines without a user are taken for those of the user whom it named last. Null elsewhere.
        """
        is_request = pl.col("format").is_in(_OF_CLIENTS)
        message = pl.when(~is_request).then(pl.col("line").str.slice(pl.col("message_at")))
        groups = message.str.extract_groups(_ADDRESS)
        of_su = pl.when(pl.col("component").is_in(["sudo", "su"])).then(message)
        acting = pl.coalesce(of_su.str.extract(pattern) for pattern in _ACTING)
        login = pl.when(message.str.starts_with("Accepted ")).then(message).str.extract(_LOGIN)
        pid = pl.col("pid").str.extract("([0-9]+)", 1)
        rows = lines.select(
            is_request.alias("is_request"),
            "client",
            pl.col("host").fill_null(""),
            "component",
            pid,
            pl.coalesce(pid, pl.when(pl.col("component") == "sudo").then("component")).alias("process"),
            pl.coalesce(groups.struct.field("1"), groups.struct.field("2").str.to_lowercase()).alias("address"),
            pl.when((acting != _ROOT) | (pl.col("component") == "sudo")).then(acting).alias("acting"),
            pl.when(login != _ROOT).then(login).alias("login"),
        )
        rows = self._with_users(rows)
        before = self._of_process.before(rows, pl.col("address"))
        after = pl.when(pl.col("pid").is_not_null()).then("address").backward_fill().over("host", "process")
        process = pl.format("{}[{}]", pl.concat_str(_HOST, "component", separator=" ", ignore_nulls=True), "pid")
        found = pl.coalesce("address", pl.lit(before), after, process)
        return rows.select(pl.when("is_request").then("client").otherwise(found).alias("session"))["session"]

    def _with_users(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows whose address, where a user acts, is that of the user."""
        rows = rows.with_columns(pl.coalesce("login", "acting").alias("user"))
        if rows["user"].null_count() == len(rows):
            return rows
        login = self._of_user.before(rows, pl.when(pl.col("login").is_not_null()).then("address"))
        user = pl.concat_str(_HOST, pl.lit("user"), "acting", separator=" ", ignore_nulls=True)
        of_user = pl.when(pl.col("acting").is_not_null()).then(pl.coalesce(pl.lit(login), user))
        return rows.with_columns(pl.coalesce(of_user, "address").alias("address"))


class _Last:
    """The last address of each key of a host, chunk after chunk.

    Args:
        key: the column that holds it; rows where it is null have none.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._known = pl.DataFrame(schema={"host": pl.String, key: pl.String, "known": pl.String})

    def before(self, rows: pl.DataFrame, address: pl.Expr) -> pl.Series:
        """The address [N] that the key of each row had last, that row included; null where it had none.

        Args:
            rows: [N] host, the key and what `address` needs.
            address: what a row says, null where it says nothing.
        """
        keys = ["host", self._key]
        said = rows.select(*keys, pl.when(pl.col(self._key).is_not_null()).then(address).alias("known"))
        found = said.select(*keys, pl.col("known").forward_fill().over(keys))
        earlier = found.select(keys).join(self._known, on=keys, how="left", maintain_order="left")
        known = pl.concat([self._known, said.drop_nulls()]).unique(keys, keep="last", maintain_order=True)
        self._known = known.tail(KNOWN_PROCESSES)
        return found["known"].fill_null(earlier["known"])
