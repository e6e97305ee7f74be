"""Masks, skeletons and distinct texts; the property that chunks, folding and neighbours never change a line's text."""

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.config import ReadConfig
from core.errors import WorkbenchError
from core.tokenization.log_tokenizer import LogTokenizer
from core.tokenization.masks import mask
from core.tokenization.normalize import MAX_TEXT_CHARS, Normalizer
from core.tokenization.skeletons import fold_digits

MASKS = [
    ("from 192.168.1.1 to 10.0.0.1:8080", "from ip to ip"),
    ("src: /10.250.19.102:54106", "src: ip"),
    ("peer fe80::9851:b780:9d9d:a29e and [2001:db8::1]:443 and ::1", "peer ip and ip and ip"),
    ("mac 00:1a:2b:3c:4d:5e", "mac mac"),
    ("id 550e8400-e29b-41d4-a716-446655440000.", "id uuid."),
    ("at 0x08d4e740, mask 0x01", "at hex, mask hex"),
    ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit hex"),
    ("reg ffffffff deadbeef", "reg hex hex"),
    ("iar 003a90fc dear 0017eb0c cc0104f0", "iar hex dear hex hex"),
    ("added 12 decade0 to 3com", "added num decade0 to 0com"),
    ("words: added decade facade", "words: added decade facade"),
    ("mail bob.smith@example.co.uk now", "mail email now"),
    ("see https://x.example/a?b=1#c, then", "see url then"),
    ("open /var/log/auth.log failed", "open path failed"),
    (r"open C:\Windows\System32\x.dll failed", "open path failed"),
    ("either/or stays", "either/or stays"),
    ("blk_-1608999687919862906 and blk_38_99", "block and block"),
    ("took -5 or 3.14 or 1,000 ms, 50%", "took num or num or num ms, num%"),
    ("sshd2 r00-m1-n0 10ms", "sshd0 r0-m0-n0 0ms"),
    ("2005.06.03 is a date", "num is a date"),
    ("at 2023-10-10T08:02:30Z and 08:02:30,123", "at time and time"),
    ("std::vector<int>::at", "std::vector<int>::at"),
    ("  MANY   spaces\t here ", "many spaces here"),
]


@pytest.mark.parametrize(("message", "expected"), MASKS)
def test_masks(message: str, expected: str) -> None:
    assert pl.select(mask(pl.lit(message), request=False)).item() == expected


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /wp-content/themes/go/style.min.css?ver=5.9", "get /wp-content/themes/go/style.min.css?ver=num"),
        ("GET /u/550e8400-e29b-41d4-a716-446655440000/x", "get /u/uuid/x"),
        ("GET /../../etc/passwd", "get /../../etc/passwd"),
        ("GET /?q=' OR 1=1 --", "get /?q=' or num=num --"),
        (r"GET /?q=\"x\"", 'get /?q="x"'),
    ],
)
def test_masks_of_requests_keep_the_evidence(request_line: str, expected: str) -> None:
    assert pl.select(mask(pl.lit(request_line), request=True)).item() == expected


def test_the_example_of_the_design() -> None:
    assert LogTokenizer().tokenize("2023-10-10 08:02:30 ERROR admin login failed from 192.168.1.1") == (
        "admin login failed from ip"
    )


def test_fold_digits_folds_ascii_digits_only() -> None:
    assert fold_digits(pl.Series(["a1b22é٣", "", "x9"])).to_list() == ["a0b00é٣", "", "x0"]


def test_texts_are_distinct_by_text_and_level_and_count_lines() -> None:
    normalizer = Normalizer()
    first = normalizer.process(1, pl.Series(["INFO user 1 in", "INFO user 2 in", "", "WARN user 3 in"]))
    second = normalizer.process(5, pl.Series(["INFO user 4 in", "   "]))
    assert first["text_id"].to_list() == [0, 0, None, 1]
    assert second["text_id"].to_list() == [0, None]
    assert second["line_no"].to_list() == [5, 6]
    assert normalizer.texts().select("normalized_text", "level_class", "count", "example").rows() == [
        ("user num in", "info", 3, "INFO user 1 in"),
        ("user num in", "warning", 1, "WARN user 3 in"),
    ]


def test_a_long_line_is_scored_by_its_start_and_says_so() -> None:
    normalizer = Normalizer()
    table = normalizer.process(1, pl.Series(["word " * 2_000]))
    assert "longer than 4,096 characters" in table["rejection"][0]
    assert table["raw"].str.len_chars()[0] == 10_000
    assert len(normalizer.texts()["normalized_text"][0]) <= MAX_TEXT_CHARS


def test_sessions_by_expression_and_refusals() -> None:
    normalizer = Normalizer(ReadConfig(sessions=r"(blk_-?\d+)"))
    assert normalizer.process(1, pl.Series(["a blk_-7 b", "none"]))["session"].to_list() == ["blk_-7", None]
    with pytest.raises(WorkbenchError, match="has no group"):
        Normalizer(ReadConfig(sessions="blk"))
    with pytest.raises(WorkbenchError, match="not a regular expression"):
        Normalizer(ReadConfig(sessions="(blk"))
    with pytest.raises(WorkbenchError, match="format 'nginx' is not known"):
        Normalizer(ReadConfig(format="nginx"))
    with pytest.raises(WorkbenchError, match="time zone"):
        Normalizer(ReadConfig(timezone="Mars/Olympus"))


# Lines near the shapes that formats and masks look for, so that the property is tried where it could break.
ACCESS = st.builds(
    '203.0.113.{} - - [10/Oct/2023:13:55:{} +0000] "GET /a%{}{}/x?id={} HTTP/1.1" {} 17 "-" "curl/8"'.format,
    st.integers(0, 255),
    st.sampled_from(["00", "36"]),
    st.sampled_from("234567"),
    st.sampled_from("0123456789ABCDEF"),
    st.integers(0, 10**6),
    st.sampled_from([200, 204, 301, 404, 500]),
)
FRAGMENT = st.sampled_from(
    ["10.0.0.1", "fe80::1", "a1b2c3d4e5", "blk_-12", "/var/log/x9", "0x1F", "12:30:59", "2023-10-10", "Nov 30 06:39:00",
     "ERROR", "<34>1", "host", "sshd[12]:", "-", "550e8400-e29b-41d4-a716-446655440000", "q@x.io", "%27", "[", "]", '"',
     "{", "1117838570", "٣", "é", "\x1b[31m", "081109 203518", "INFO", "dfs.Data:"]
)  # fmt: skip
LINE = st.one_of(ACCESS, st.lists(FRAGMENT, max_size=8).map(" ".join), st.text(max_size=40))
PHYSICAL = LINE.map(lambda line: line.replace("\n", " ").replace("\r", " "))


def texts_of(lines: list[str]) -> list[tuple]:
    normalizer = Normalizer(ReadConfig(year=2020))
    table = normalizer.process(1, pl.Series(lines, dtype=pl.String))
    texts = normalizer.texts()
    return table.join(texts, on="text_id", how="left", maintain_order="left").select(
        "normalized_text", "level_class", "host", "component", "level"
    ).rows()  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(PHYSICAL, min_size=2, max_size=5))
@example(["Nov 30 06:39:00 web1 ", ""])
@example(["Nov 30 06:39:00 web1 app: failed", "  at line 5"])
def test_a_line_alone_and_in_a_crowd_has_the_same_text(lines: list[str]) -> None:
    for (text, level_class, host, component, level), line in zip(texts_of(lines), lines, strict=True):
        alone = texts_of([line])[0]
        assert (text, level_class, level) == (alone[0], alone[1], alone[4])
        # A line without a header has those of the line it goes on with (events.py).
        assert alone[2] in (host, None) and alone[3] in (component, None)


@settings(max_examples=100, deadline=None)
@given(PHYSICAL)
def test_masks_do_not_look_at_digit_values(line: str) -> None:
    skeleton = fold_digits(pl.Series([line]))[0]
    for request in (True, False):
        of_line, of_skeleton = (pl.select(mask(pl.lit(text), request=request)).item() for text in (line, skeleton))
        assert of_line == of_skeleton


def test_status_and_escapes_survive_folding() -> None:
    line = '203.0.113.7 - - [10/Oct/2023:13:55:36 +0000] "GET /a%{}b HTTP/1.1" {} 17 "-" "curl/8"'
    texts = [text for text, *_ in texts_of([line.format("27", 200), line.format("20", 200), line.format("20", 500)])]
    assert texts == ["get /a'b curl 2xx", "get /a b curl 2xx", "get /a b curl 5xx"]
