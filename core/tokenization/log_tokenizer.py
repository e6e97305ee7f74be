"""L4: one line -> its normalized text; texts -> WordPiece ids."""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from core.config import ReadConfig
from core.errors import BundleError
from core.records import LogRecord
from core.tokenization.normalize import Normalizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
UNKNOWN = SPECIAL_TOKENS[1]
PRINTABLE = [chr(code) for code in range(33, 127)]


class LogTokenizer:
    """The way of one line through headers, masks and WordPiece; `Normalizer` is the same way for many.

    >>> LogTokenizer().tokenize("2023-10-10 08:02:30 ERROR admin login failed from 192.168.1.1")
    'admin login failed from ip'
    """

    def __init__(self, read: ReadConfig | None = None, word_pieces: Tokenizer | None = None) -> None:
        self.read = read or ReadConfig()
        self.word_pieces = word_pieces

    def tokenize(self, line: str) -> str:
        """The line's normalized text; "" for a blank line."""
        return self.parse(line).normalized_text

    def parse(self, line: str) -> LogRecord:
        """The line's fields and normalized text. A line feed inside is read as a space."""
        normalizer = Normalizer(self.read)
        table = normalizer.process(1, pl.Series([line.replace("\n", " ").replace("\r", " ").replace("\0", "␀")]))
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

    @property
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


def _with_stages(word_pieces: Tokenizer) -> Tokenizer:
    """BERT's lower case and split at punctuation, and [CLS] and [SEP] around."""
    from tokenizers import normalizers, pre_tokenizers, processors

    word_pieces.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    word_pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    word_pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return word_pieces
