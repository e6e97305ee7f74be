"""L4: one line -> its normalized text; texts -> WordPiece ids.

`Normalizer` is the way of many lines at once; on a single one, its tables cost more than the work. `LogTokenizer` takes
the same steps by the same patterns and keeps what it learnt of skeletons, so that a line of a known shape is a look-up.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from core.config import ReadConfig
from core.errors import BundleError
from core.records import LogRecord
from core.tokenization import formats, headers
from core.tokenization.normalize import LEVEL_CLASS_OF_WORD, Normalizer
from core.tokenization.skeletons import FOLDED, read_skeletons
from core.tokenization.wrappers import MARKS, MAX_TEXT_CHARS, unwrap

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
UNKNOWN = SPECIAL_TOKENS[1]
PRINTABLE = [chr(code) for code in range(33, 127)]
KNOWN_SKELETONS = 10_000  # kept by each tokenizer, then dropped: a few MB
# Unicode's White_Space, which Polars strips; str.strip takes four control characters more.
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_HALF_OF_A_PAIR = re.compile("[\ud800-\udc7f\udd00-\udfff]")


@dataclass(frozen=True)
class _Skeleton:
    """What all lines of a skeleton share: their text and level, and where their status and priority lie."""

    text: str
    level: str | None
    status: slice | None
    priority: slice | None


class LogTokenizer:
    """The way of one line through headers, masks and WordPiece; `Normalizer` is the same way for many.

    >>> LogTokenizer().tokenize("2023-10-10 08:02:30 ERROR admin login failed from 192.168.1.1")
    'admin login failed from ip'
    """

    def __init__(self, read: ReadConfig | None = None, word_pieces: Tokenizer | None = None) -> None:
        self.read = read or ReadConfig()
        self.word_pieces = word_pieces
        self._skeletons: dict[str, _Skeleton] = {}

    def tokenize(self, line: str) -> str:
        """The line's normalized text; "" for a blank line."""
        found = self.text_and_level(line)
        return "" if found is None else found[0]

    def text_and_level(self, line: str) -> tuple[str, str] | None:
        """The line's normalized text and level class (records.LEVEL_CLASSES), as `Normalizer` finds them.

        Returns:
            None for a blank line.
        """
        raw = physical_line(line)
        if not raw.strip(_WHITE_SPACE):
            return None
        line, outer_level = self._unwrapped(raw)
        if line.startswith('"') or "%" in line or "\\" in line or "\x1b" in line:
            line = headers.unfold(pl.Series([line]))[0]
        skeleton = self._skeleton(line.translate(FOLDED))
        level = skeleton.level
        if skeleton.priority is not None:
            level = formats.LEVEL_OF_SEVERITY[int(line[skeleton.priority]) % 8].upper()
        if outer_level is not None:
            level = outer_level.upper()
        text = skeleton.text if skeleton.status is None else f"{skeleton.text} {line[skeleton.status][0]}xx"
        return text, LEVEL_CLASS_OF_WORD.get(level or "", "")

    def _unwrapped(self, raw: str) -> tuple[str, str | None]:
        """The line within, and the level that a wrapper says."""
        if not any(mark in raw for mark in MARKS):
            return raw[:MAX_TEXT_CHARS], None
        row = unwrap(pl.Series([raw], dtype=pl.String), self.read).row(0, named=True)
        return row["line"], row["outer_level"]

    def _skeleton(self, skeleton: str) -> _Skeleton:
        known = self._skeletons.get(skeleton)
        if known is None:
            row = read_skeletons(pl.Series([skeleton]), self.read.format).row(0, named=True)
            known = _Skeleton(row["text"], row["level"], _place(row, "status"), _place(row, "priority"))
            if len(self._skeletons) >= KNOWN_SKELETONS:
                self._skeletons.clear()
            self._skeletons[skeleton] = known
        return known

    def parse(self, line: str) -> LogRecord:
        """The line's fields and normalized text. A line feed inside is read as a space."""
        normalizer = Normalizer(self.read)
        table = normalizer.process(1, pl.Series([physical_line(line)]))
        row = table.row(0, named=True)
        text = "" if row["text_id"] is None else normalizer.texts()["normalized_text"][0]
        time = row["timestamp_utc"]
        return LogRecord(
            line_no=1,
            timestamp_utc=None if time is None else f"{time.isoformat()}Z",
            level=row["level"],
            host=row["host"],
            component=row["component"],
            normalized_text=text,
            raw=line,
        )

    def train(self, texts: list[str], vocab_size: int = 8_000) -> LogTokenizer:
        """Learn a WordPiece vocabulary (Schuster and Nakajima 2012) from distinct texts.

        Every printable ASCII character is in it, so that an unseen ASCII word falls into pieces, not into [UNK]; so
        does a word of one text only, whose own embedding would never be learnt. The same texts give the same ids.
        """
        from tokenizers import Tokenizer, models, trainers

        letters = sorted(set(PRINTABLE).union(*texts) - set(string.whitespace))
        # The trainer numbers the letters of words in hash order, anew in every process; named first, they keep theirs.
        alphabet = [*letters, *(f"##{letter}" for letter in letters)]
        learner = _with_stages(Tokenizer(models.WordPiece(unk_token=UNKNOWN)))
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size, min_frequency=2, special_tokens=[*SPECIAL_TOKENS, *alphabet], show_progress=False
        )
        learner.train_from_iterator(texts, trainer)
        word_pieces = _with_stages(
            Tokenizer(models.WordPiece(learner.get_vocab(), unk_token=UNKNOWN, max_input_chars_per_word=64))
        )
        word_pieces.add_special_tokens(list(SPECIAL_TOKENS))
        self.word_pieces = word_pieces
        self.__dict__.pop("names", None)
        return self

    def encode(self, texts: list[str], max_tokens: int) -> list[list[int]]:
        """Texts -> ids from [CLS] to [SEP], each at most `max_tokens` long; a longer text loses its end."""
        return [encoding.ids for encoding in self._encodings(texts, max_tokens)]

    def pieces(self, texts: list[str], max_tokens: int) -> list[list[str]]:
        """The tokens behind `encode`, without [CLS] and [SEP], continuations marked with ##."""
        return [encoding.tokens[1:-1] for encoding in self._encodings(texts, max_tokens)]

    @property
    def vocabulary(self) -> Tokenizer:
        """The WordPiece tokenizer.

        Raises:
            BundleError: there is none yet.
        """
        if self.word_pieces is None:
            raise BundleError("this LogTokenizer has no vocabulary; train it or load one")
        return self.word_pieces

    @cached_property
    def names(self) -> list[str]:
        """The tokens of the vocabulary, by id."""
        by_id = sorted((token_id, token) for token, token_id in self.vocabulary.get_vocab().items())
        return [token for _, token in by_id]

    def _encodings(self, texts: list[str], max_tokens: int) -> list:
        self.vocabulary.enable_truncation(max_tokens)
        return list(self.vocabulary.encode_batch(texts))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        if self.word_pieces is not None:
            self.word_pieces.save(str(folder / "tokenizer.json"))

    @classmethod
    def load(cls, folder: Path, read: ReadConfig | None = None) -> LogTokenizer:
        """Read tokenizer.json; a bundle without a network has none.

        Raises:
            BundleError: the file is damaged.
        """
        path = folder / "tokenizer.json"
        if not path.exists():
            return cls(read)
        from tokenizers import Tokenizer

        try:
            return cls(read, Tokenizer.from_str(path.read_text("utf-8")))
        except Exception as error:  # the library raises plain Exception
            raise BundleError(f"{path}: the vocabulary is damaged ({error}); train the model again") from error


def physical_line(text: str) -> str:
    """A text as if read from a file: its line end gone, line feeds inside spaces, NULs shown, valid UTF-8."""
    text = text.rstrip("\r\n").replace("\n", " ").replace("\0", "␀")
    if text.isascii():
        return text
    # Bytes that were not UTF-8 on the command line, and halves of pairs that JSON can write.
    return _HALF_OF_A_PAIR.sub("�", text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _place(row: dict[str, Any], name: str) -> slice | None:
    at, length = row[f"{name}_at"], row[f"{name}_length"]
    return None if at is None else slice(at, at + length)


def _with_stages(word_pieces: Tokenizer) -> Tokenizer:
    """BERT's lower case and split at punctuation, and [CLS] and [SEP] around."""
    from tokenizers import normalizers, pre_tokenizers, processors

    word_pieces.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    word_pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    word_pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return word_pieces
