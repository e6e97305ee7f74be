"""L2, lines within lines: what a JSON object or a container's engine has put around a line is taken off.

The message within may be a line of any format. It is JSON again only where Docker has kept what a JSON logger writes:
what else looks so in a message may come from a client, who must not choose its text, level and time.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from core.config import ReadConfig
from core.tokenization.formats import ISO, JSON_FIELDS
from core.tokenization.json_lines import fields_of, first_of, read_object

MAX_TEXT_CHARS = 4_096  # of a line; what lies beyond is kept and shown, but not scored
OUTER = ("timestamp", "level", "host", "component")
"""What a wrapper may say of its line: the columns outer_timestamp and so on."""

_CRI = rf"^({ISO}) (?:stdout|stderr) [FP] "  # how Kubernetes keeps what containers write
_COMPOSE = r"^([a-z0-9][a-z0-9_.-]*[-_][0-9]+) +\| "
_OBJECT = r"^\s*\{"
_WRAPPED = rf"{_OBJECT}|{_CRI}|{_COMPOSE}"
MARKS = ("{", " stdout ", " stderr ", " | ")
"""A line with none of these has no wrapper."""
_STREAMS = ("stdout", "stderr")  # that Docker names beside a line


def unwrap(raw: pl.Series, config: ReadConfig, said: pl.DataFrame | None = None) -> pl.DataFrame:
    """Lines without their wrappers, and what those say.

    Args:
        raw: [N] lines as written.
        config: its format and message field.
        said: [N] what is said of the lines beside them, any of the columns OUTER, as text.

    Returns:
        [N] raw; line, at most MAX_TEXT_CHARS of what is within; is_json; outer_timestamp, outer_level, outer_host and
        outer_component, null where no wrapper says; rejection, why a line could not be read as JSON, else null.
    """
    nothing = pl.lit(None, dtype=pl.String)
    lines = pl.DataFrame({"raw": raw}).with_columns(
        pl.col("raw").alias("line"),
        pl.lit(value=False).alias("is_json"),
        *((nothing if said is None or name not in said else said[name]).alias(f"outer_{name}") for name in OUTER),
        nothing.alias("rejection"),
    )
    if config.format in ("auto", "json") and raw.str.contains(_WRAPPED).any():
        lines = lines.with_columns(
            pl.coalesce(pl.col("line").str.extract(_CRI), "outer_timestamp").alias("outer_timestamp"),
            pl.coalesce(pl.col("line").str.extract(_COMPOSE), "outer_component").alias("outer_component"),
            pl.col("line").str.replace(_CRI, "").str.replace(_COMPOSE, ""),
        )
        in_docker = lines["line"].str.json_path_match("$.stream").is_in(_STREAMS)
        lines = _out_of_json(lines, lines["line"].str.contains(_OBJECT), config)
        lines = _out_of_json(lines, lines["line"].str.contains(_OBJECT) & in_docker.fill_null(value=False), config)
    if config.format == "json":
        is_text = ~pl.col("is_json") & (pl.col("raw").str.strip_chars() != "")
        refused = pl.when(is_text).then(pl.lit("not a JSON object; read as text"))
        lines = lines.with_columns(pl.coalesce("rejection", refused))
    if (lines["line"].str.len_bytes() > MAX_TEXT_CHARS).any():
        lines = lines.with_columns(pl.col("line").str.slice(0, MAX_TEXT_CHARS))
    return lines


def _out_of_json(lines: pl.DataFrame, looks_so: pl.Series, config: ReadConfig) -> pl.DataFrame:
    """Lines that are JSON objects replaced by their messages; what an inner one says counts, else the outer one.

    Args:
        lines: [N] as `unwrap` gives them.
        looks_so: [N] bool, which to try.
        config: its message field.
    """
    if not looks_so.any():
        return lines
    fields: dict[str, tuple[str, ...]] = dict(JSON_FIELDS)
    if config.message_field:
        fields["message"] = (config.message_field,)
    said: dict[str, list[str | None]] = {name: [None] * len(lines) for name in (*fields, "rejection")}
    rows = looks_so.arg_true().to_list()
    valid = np.zeros(len(lines), dtype=bool)
    for row, line in zip(rows, lines["line"].filter(looks_so), strict=True):
        found = read_object(line)
        if found is None:
            said["rejection"][row] = "damaged JSON; read as text"
            continue
        valid[row] = True
        for name, keys in fields.items():
            said[name][row] = first_of(found, keys)
        if said["message"][row] is None:
            said["message"][row] = fields_of(found)
            if config.message_field:
                said["rejection"][row] = f"no field {config.message_field}; all its fields are read"
    of_json = pl.DataFrame(said, schema=dict.fromkeys(said, pl.String))
    return lines.with_columns(
        pl.coalesce(of_json["message"].str.replace_all(r"[\r\n]+", " "), "line").alias("line"),
        (pl.col("is_json") | valid).alias("is_json"),
        *(pl.coalesce(of_json[name], f"outer_{name}").alias(f"outer_{name}") for name in OUTER),
        pl.when(~pl.col("is_json")).then(of_json["rejection"]).otherwise("rejection").alias("rejection"),
    )
