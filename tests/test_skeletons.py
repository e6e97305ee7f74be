"""Skeletons by number: folding them further and remembering them never change what is known of a line."""

import numpy as np
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.tokenization import skeletons
from core.tokenization.skeletons import FIELDS, Numbered, Skeletons, fold_digits
from tests.test_normalize import FRAGMENT

HEX = st.sampled_from(
    ["deadbeef", "DEADBEEF", "a1b2c3d4", "12ab34cd", "0x1F", "0XFACE", "e50e8400-e29b-41d4-a716-44665544abcd",
     "550e8400-e29b-41d4-a716-446655440000", "decade0", "facade", "30abcdef", "fe80::deadbeef", "beef0123.foo:",
     "12ab34cd://x", "deadbeef12://x", "blk_-12ab34cd", "a1b2c3d4é", "/var/deadbeef12/x", "deadbeef1/1.0",
     "10:20:30.123abcde", "2023-10-10 10:20:30.12abcdef", "[req-a1b2c3d4e5]", "1117838570 2005.06.03 a1b2c3d4e5",
     "09ab12cd@deadbeef.example", "CB000D00-0FF0-0A0E-A000-00E0B0A00000", "a::b:deadbeef", "[::1]0x12ab34cd"]
)  # fmt: skip
GLUE = st.sampled_from([" ", "", ":", "=", "-", " - ", ".", "/", "\t", ": ", "[", "]", "::", ","])
NUMBER = st.sampled_from(
    ["5", "12", "2005", "0.25", "10.0.0.12", "192.168.100.20:8080", "1.2.3.4.5", "10.0.0.12:30:45", "1.2.3.4:123456",
     "10.0.0.12:ab:cd:ef:01:02", "10.0.0.1/24", "2023/10/10", "+0000", "2005.06.03", "1,000"]
)  # fmt: skip
LINE = st.lists(st.tuples(st.one_of(HEX, NUMBER, FRAGMENT), GLUE), max_size=7).map(
    lambda parts: "".join(text + glue for text, glue in parts)
)
HEADER = st.sampled_from(
    ["", "a b c d e f g h ", "[Wed Jun 10 10:20:30 2005] [error] [client 10.0.0.1] a b ",
     "Nov 30 06:39:00 web1 sshd[21882]: ", "2023-10-10 08:02:30,123 [main] ERROR o.a.Login:55 - ",
     "2023-10-10 08:02:30 ", "17/06/09 20:10:40 INFO ", "081109 203518 143 INFO dfs.Data: ",
     '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /a1b2c3d4e5 HTTP/1.1" 200 12ab34cd "-" "deadbeef12/8" '
     "- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.363779 R02 RAS KERNEL "]
)  # fmt: skip


def known(lines: list[str]) -> list[tuple]:
    """What is known of lines read together: names for their numbers."""
    table = Skeletons("auto")
    facts = table.facts(fold_digits(pl.Series(lines, dtype=pl.String)))
    names = [*table.names, None]
    return [
        tuple(
            names[facts[name][row]] if name in FIELDS[:3] else table.texts[facts[name][row]] if name == "text"
            else int(facts[name][row])
            for name in FIELDS
        )
        for row in range(len(lines))
    ]  # fmt: skip


def read_alone(line: str) -> tuple:
    """The same of one line, its header and mask read as it stands."""
    row = skeletons.read_skeletons(fold_digits(pl.Series([line])), "auto").row(0, named=True)
    return tuple(-1 if row[name] is None and name not in FIELDS[:4] else row[name] for name in FIELDS)


@settings(max_examples=150, deadline=None)
@given(st.tuples(HEADER, LINE).map("".join))
@example("17/06/09 20:10:40abcdef01 foo")
@example("deadbeef/10.0.0.1 and deadbeef[fe80::1]deadbeef and a:b::deadbeef")
@example("550e8400-e29b-41d4-a716-446655440000-12ab34cd://x")
@example("deadbeefe50e8400-e29b-41d4-a716-44665544abcd")
@example("2023-10-10 08:02:30 INFO deadbeef12.foo: message")
@example("- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.363779 R02 RAS KERNEL FEEDBEEF cache")
@example("2023-10-10 08:02:30.0xdeadbeef12 foo")
@example("- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: took 15 ms")
@example("a b c d e f g 10.0.0.12:30:45 and 10.0.0.12:ab:cd:ef:01:02 and 10.0.0.1:443, 17 times in 0.25 s")
def test_folded_or_not_a_line_reads_the_same(line: str) -> None:
    other = line.replace("a1b2", "b2a1").replace("dead", "face")
    assert known([other, line, line]) == [read_alone(each) for each in (other, line, line)]


def test_what_no_mask_sees_sets_no_skeletons_apart(monkeypatch) -> None:
    """Lines that differ in hexadecimal and in how many digits addresses and numbers have are read once."""
    whole = skeletons.read_skeletons
    read: list[str] = []
    monkeypatch.setattr(skeletons, "read_skeletons", lambda some, only: read.extend(some) or whole(some, only))
    line = "2023-10-10 08:02:30 INFO a b c d e f job {} of {} from {} took {} s"
    jobs = [("0c8b38f2", "10.0.0.1:80", 5), ("9fbe1d30", "192.168.100.20:8080", 0.25), ("12345abc", "172.16.0.1:1", 12)]
    uuids = ["550e8400-e29b-41d4-a716-446655440000", "12345678-1234-1234-1234-123456789abc"]
    facts = known([line.format(job, uuid, *rest) for job, *rest in jobs for uuid in uuids])
    assert {fact[3] for fact in facts} == {"a b c d e f job hex of uuid from ip took num s"}
    assert len(read) == 2  # whole and decimal seconds


def test_numbers_hold_from_chunk_to_chunk() -> None:
    numbered = Numbered()
    first, new = numbered.numbers(pl.Series(["b", "", "b", "a"]))
    assert first.tolist() == [0, 1, 0, 2]
    assert new.tolist() == [0, 1, 3]
    again, new = numbered.numbers(pl.Series(["c", "a", "c", ""]))
    assert again.tolist() == [3, 2, 3, 1]
    assert new.tolist() == [0]


def test_skeletons_are_forgotten_beyond_a_number_and_texts_stay(monkeypatch) -> None:
    monkeypatch.setattr(skeletons, "KNOWN_SKELETONS", 3)
    table = Skeletons("auto")
    lines = [pl.Series([f"{letter}x failed"]) for letter in "abcdefab"]
    texts = [table.texts[int(table.facts(line)["text"][0])] for line in lines]
    assert texts == [f"{letter}x failed" for letter in "abcdefab"]
    assert len(table.texts) == 6
    assert np.unique([table.facts(line)["text"][0] for line in lines]).tolist() == list(range(6))
