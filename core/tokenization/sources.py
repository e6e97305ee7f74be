"""Who caused a line: the client of a request, the address in a message, or the process that wrote it.

Sessions by source (`ReadConfig.sessions` is `SOURCE`) put the lines of one client together. A server's processes write
lines without the address too; they get it from the lines of the same process.
"""

from __future__ import annotations

import polars as pl

from core.tokenization import headers

SOURCE = "source"
"""The word that asks for sessions by source, in place of a regular expression."""

KNOWN_PROCESSES = 100_000  # whose address is kept for later chunks, the oldest dropped

_HEX = "[0-9A-Fa-f]{1,4}"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[0-9]{1,2})"
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_IPV6 = rf"(?:{_HEX}:){{7}}{_HEX}|(?:{_HEX}:){{1,6}}(?::{_HEX}){{1,6}}|(?:{_HEX}:){{2,7}}:|::(?:{_HEX}:){{0,6}}{_HEX}"
# Between characters that no address has; of an IPv4 address written as IPv6 (::ffff:192.0.2.1) the IPv4 part.
_ADDRESS = (
    rf"(?:^|[^0-9A-Za-z.:_])(?:(?:::[Ff]{{4}}:)?({_IPV4})(?:$|[^0-9A-Za-z._]|\.(?:$|[^0-9]))"
    rf"|({_IPV6})(?:$|[^0-9A-Za-z:_]))"
)
_REQUESTS = tuple({form.name for form in headers.FORMATS if form.request})


class Sources:
    """Sources of lines, chunk after chunk: a process whose address was seen keeps it in later chunks."""

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"host": pl.String, "pid": pl.String, "address": pl.String})

    def of(self, lines: pl.DataFrame) -> pl.Series:
        """The source of each line of a chunk.

        Args:
            lines: [N] format, line, message_at (where the message begins), client (the host parsed of the line), host,
                component, pid; strings but for the place.

        Returns:
            [N] the client of a request; of other lines the first address of the message (a header's host may be an
            address, and is none's source), else the one that the process had in a line before, else the one it has
            later in this chunk, else host and process, as in "web1 sshd[8334]"; null where there is not even a pid.
        """
        is_request = pl.col("format").is_in(_REQUESTS)
        message = pl.when(~is_request).then(pl.col("line").str.slice(pl.col("message_at")))
        groups = message.str.extract_groups(_ADDRESS)
        rows = lines.select(
            is_request.alias("is_request"),
            "client",
            pl.col("host").fill_null(""),
            "component",
            pl.col("pid").str.extract("([0-9]+)", 1),
            pl.coalesce(groups.struct.field("1"), groups.struct.field("2").str.to_lowercase()).alias("address"),
        )
        of_process = pl.when(pl.col("pid").is_not_null()).then("address")
        before = of_process.forward_fill().over("host", "pid")
        after = of_process.backward_fill().over("host", "pid")
        host = pl.when(pl.col("host") != "").then("host")
        process = pl.format("{}[{}]", pl.concat_str(host, "component", separator=" ", ignore_nulls=True), "pid")
        known = self._known.rename({"address": "known"})
        rows = rows.join(known, on=["host", "pid"], how="left", maintain_order="left")
        self._remember(rows)
        found = pl.coalesce("address", before, "known", after, process)
        return rows.select(pl.when("is_request").then("client").otherwise(found).alias("session"))["session"]

    def _remember(self, rows: pl.DataFrame) -> None:
        found = rows.select("host", "pid", "address").drop_nulls(["pid", "address"])
        known = pl.concat([self._known, found]).unique(["host", "pid"], keep="last", maintain_order=True)
        self._known = known.tail(KNOWN_PROCESSES)
