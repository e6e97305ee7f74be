"""One line's way is the way of many: the same text and level for every line, whatever came before it."""

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import ReadConfig
from core.tokenization.formats import FORMATS
from core.tokenization.log_tokenizer import LogTokenizer, physical_line
from core.tokenization.normalize import Normalizer
from tests.test_headers import CASES
from tests.test_normalize import FRAGMENT, PHYSICAL

EXAMPLES = [line for _, line, _ in CASES] + [form.example for form in FORMATS if form.example]
AUTO = LogTokenizer(ReadConfig(year=2020))  # keeps its skeletons from one example to the next, as a server does


def by_table(line: str, read: ReadConfig | None = None) -> tuple[str, str] | None:
    """The text and level of a line of a file."""
    normalizer = Normalizer(read or ReadConfig(year=2020))
    if normalizer.process(1, pl.Series([line]))["text_id"][0] is None:
        return None
    return normalizer.texts().select("normalized_text", "level_class").row(0)


@st.composite
def near_examples(draw: st.DrawFn) -> str:
    """A line of some format, with something cut out of it and something put into it."""
    line = draw(st.sampled_from(EXAMPLES))
    start = draw(st.integers(0, len(line)))
    end = draw(st.integers(start, min(len(line), start + 12)))
    new = draw(st.one_of(st.just(""), FRAGMENT, st.text(max_size=3), st.sampled_from(["5", " ", "%27", r"\x41", '"'])))
    return (line[:start] + new + line[end:]).replace("\n", " ").replace("\0", "␀")


@settings(max_examples=150, deadline=None)
@given(st.one_of(near_examples(), PHYSICAL.map(lambda line: line.replace("\0", "␀"))))
def test_a_line_alone_has_the_text_it_has_in_a_file(line: str) -> None:
    assert AUTO.text_and_level(line) == by_table(line)


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_format_and_a_second_look_at_its_skeleton(line: str) -> None:
    tokenizer = LogTokenizer(ReadConfig(year=2020))
    digits = random.Random(0)
    other = "".join(str(digits.randrange(10)) if char.isascii() and char.isdigit() else char for char in line)
    for one in (line, line, other):
        assert tokenizer.text_and_level(one) == by_table(one)
        assert tokenizer.tokenize(one) == tokenizer.parse(one).normalized_text


@pytest.mark.parametrize(
    "read",
    [
        ReadConfig(format="hdfs"),
        ReadConfig(format="json"),
        ReadConfig(format="plain"),
        ReadConfig(message_field="note"),
    ],
)
def test_settings_of_reading_hold_for_a_line_alone(read: ReadConfig) -> None:
    tokenizer = LogTokenizer(read)
    for line in [*EXAMPLES, '{"note": "disk 5 full", "level": "warn"}', '{"message": ""}', "{", "   "]:
        assert tokenizer.text_and_level(line) == by_table(line, read)


def test_what_no_line_of_a_file_can_hold_is_read_as_a_file_would_hold_it() -> None:
    assert physical_line("a\nb\r\n") == "a b"
    assert physical_line("a\0b") == "a␀b"
    assert physical_line("caf\udce9 \ud800 é") == "caf� � é"
    assert physical_line("caf\udcc3\udca9") == "café"
    assert LogTokenizer().tokenize("GET /x HTTP/1.1\r\n") == "get /x"
    for blank in ("", " \t\r\n", "\u2003"):
        assert LogTokenizer().text_and_level(blank) is None


def test_known_skeletons_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.tokenization.log_tokenizer.KNOWN_SKELETONS", 3)
    tokenizer = LogTokenizer()
    for word in ("alpha", "beta", "gamma", "delta", "epsilon"):
        assert tokenizer.tokenize(f"{word} 7") == f"{word} num"
    assert len(tokenizer._skeletons) <= 3
