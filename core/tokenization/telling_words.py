"""The words that tell a group of messages from the rest of the run: titles of incidents and clusters are made of them.

Class-based TF-IDF, a group for a class: a word frequent inside and rare outside weighs most. Its weight is p ln(p / q),
p the share of the group's lines that have it and q that of all lines, a word's part in the divergence of Kullback and
Leibler (1951). Grootendorst's ln(1 + A / f) in the place of ln(p / q) leaves a word that every line has a weight, and
put "port" into the titles of a log full of ports.

Source: Grootendorst, arXiv 2203.05794 (BERTopic), section 3.3.
"""

from __future__ import annotations

import polars as pl

_TITLE_WORDS = 4
_WORD = r"[\p{L}\p{N}_][\p{L}\p{N}_.-]*[\p{L}\p{N}_]"
_WORD_CHARS = 40
_TEXT_CHARS = 2_000  # of a message whose words count
_MASKS = ["num", "ip", "path", "hex", "uuid", "mac", "time", "url", "email", "block", "0"]  # in the place of variables


def words_of(texts: pl.DataFrame) -> pl.DataFrame:
    """Words of messages.

    Args:
        texts: text_id, normalized_text, count.

    Returns:
        text_id, word, and n_with: the lines that have it; each word of a text once, in order.
    """
    found = pl.col("normalized_text").str.head(_TEXT_CHARS).str.extract_all(_WORD)
    found = found.list.eval(pl.element().str.head(_WORD_CHARS)).list.unique(maintain_order=True)
    words = texts.select("text_id", "count", found.alias("word"))
    words = words.explode("word").drop_nulls("word")
    return words.select("text_id", "word", pl.col("count").sum().over("word").alias("n_with"))


def titles(members: pl.DataFrame, words: pl.DataFrame, n_all: int, example: pl.DataFrame) -> pl.DataFrame:
    """A title for each group, of its telling words: those of an example first and as they stand there.

    Args:
        members: group, text_id, n: the lines of that text in it; one row each.
        words: `words_of` all texts of the run.
        n_all: lines of the run.
        example: group, normalized_text of a message that stands for it.

    Returns:
        group, title; a group none of whose messages has a word that is no mask is left out.
    """
    inside, outside = pl.col("n").sum() / pl.col("n_lines").first(), pl.col("n_with").first() / max(1, n_all)
    return (
        members.with_columns(pl.col("n").sum().over("group").alias("n_lines"))
        .join(words.filter(~pl.col("word").is_in(_MASKS)), on="text_id")
        .group_by("group", "word")
        .agg((inside * (inside / outside).log()).alias("weight"))
        .join(example.with_columns(pl.col("normalized_text").str.head(_TEXT_CHARS)), on="group")
        .sort("group", "weight", "word", descending=[False, True, False])
        .group_by("group", maintain_order=True)
        .head(_TITLE_WORDS)
        .with_columns(pl.col("normalized_text").str.find(pl.col("word"), literal=True).alias("at"))
        .sort("group", "at", nulls_last=True, maintain_order=True)
        .group_by("group", maintain_order=True)
        .agg(pl.col("word").str.join(" ").alias("title"))
    )
