"""The words of many texts as 64-bit hashes, found for all of them at once.

Near duplicates and contamination are both looked for in words, so that layout, case and
punctuation make no difference. A text is normalised first: NFKC, then casefold. A word is a run of
letters, marks, digits and underscores. Scripts that put no space between words (Han, Kana, Thai,
Lao, Khmer, Burmese) give one word for each character. A symbol, where symbols are asked for, is a
word too: in code and sums `a + b` is not `a - b`. All other punctuation separates words, but where
symbols are asked for, a text of nothing but punctuation has its marks for words: `?` is not `!`.

A word's hash is a polynomial of its code points modulo 2^64, taken from sums over the whole string
that all texts make together: a thousand texts cost some twenty passes of numpy, no loop over words.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from loray.data.ids import scramble

BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2^64."""
MASK = (1 << 64) - 1
BLANK, MARK, LETTER, ALONE, SYMBOL = range(5)
SYMBOLS = "#%&*/@\\-"
"""What programs and sums are written with, beside everything that Unicode calls a symbol."""
UNSPACED = (
    "CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER",
    "MYANMAR",
)  # fmt: skip
"""First words of the names of characters whose scripts put no space between words."""
NUM_CODES = 0x40000
"""Planes 0 to 3; no letter lies beyond."""
SLICE_CHARS = 1 << 16
"""Text looked at in one go: few enough characters for the arrays to stay near the processor."""


@dataclass(frozen=True)
class Words:
    """All words of some texts, in order; arrays of one length."""

    hashes: np.ndarray
    """uint64."""
    text: np.ndarray
    """Which text a word is in."""
    start: np.ndarray
    """Where in `joined` a word begins."""
    end: np.ndarray
    joined: str
    """The texts, normalised, one after another."""


def normalise(text: str) -> str:
    """`text` without differences of case and of compatibility forms."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words_of(texts: Sequence[str], *, with_symbols: bool) -> Words:
    """The words of `texts`; an empty text gives none."""
    joined = "\n".join([*texts, ""])
    if joined.isascii():
        lengths = map(len, texts)
        joined = joined.lower()
        data = joined.encode()
        codes = np.frombuffer(data, dtype=np.uint8)
        kinds = np.frombuffer(data.translate(_ascii_kinds()), dtype=np.uint8)
    else:
        normal = [normalise(text) for text in texts]
        lengths = map(len, normal)
        joined = "\n".join([*normal, ""])
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        kinds = _kinds().take(codes, mode="clip")
    ends = np.cumsum(np.fromiter(lengths, dtype=np.int64, count=len(texts)) + 1)
    is_alone = kinds >= ALONE if with_symbols else kinds == ALONE
    is_letter = np.concatenate([[False], kinds == LETTER, [False]])
    edges = is_letter[1:] != is_letter[:-1]
    first, last = edges[:-1] & is_letter[1:-1], edges[1:] & is_letter[1:-1]
    start = np.flatnonzero(first | is_alone)
    counts = _num_in(start, ends)
    if with_symbols and not counts.all():
        is_alone |= (kinds == MARK) & np.repeat(counts == 0, np.diff(ends, prepend=0))
        start = np.flatnonzero(first | is_alone)
        counts = _num_in(start, ends)
    text = np.repeat(np.arange(len(texts)), counts)
    end = np.flatnonzero(last | is_alone) + 1
    return Words(_hashes(codes, start, end), text, start, end, joined)


def _num_in(start: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many of the places `start` lie before each end and not before the last one."""
    return np.diff(np.searchsorted(start, ends), prepend=0)


def runs_of(sizes: np.ndarray, limit: int) -> Iterator[tuple[int, int]]:
    """Cut a list into runs of items whose sizes come to `limit` or so; an item is never cut."""
    before = np.cumsum(sizes) - sizes
    edges = np.flatnonzero(np.diff(before // limit)) + 1
    bounds = [0, *edges.tolist(), len(sizes)]
    yield from ((a, b) for a, b in pairwise(bounds) if a < b)


def _hashes(codes: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    powers, inverses = _powers(1 << max(len(codes), SLICE_CHARS).bit_length())
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.multiply(codes + np.uint32(1), powers[: len(codes)], out=sums[1:])
    np.cumsum(sums, out=sums)
    return scramble((sums[end] - sums[start]) * inverses[start])


@lru_cache(maxsize=2)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers of the base and of its inverse, modulo 2^64."""
    tables = []
    for base in (BASE, pow(BASE, -1, 1 << 64)):
        table = np.full(count, base, dtype=np.uint64)
        table[0] = 1
        tables.append(np.cumprod(table, dtype=np.uint64))
    return tables[0], tables[1]


@lru_cache(maxsize=1)
def _kinds() -> np.ndarray:
    """What each code point is; a tenth of a second, once a process."""
    return np.fromiter(map(_kind, map(chr, range(NUM_CODES))), dtype=np.uint8, count=NUM_CODES)


@lru_cache(maxsize=1)
def _ascii_kinds() -> bytes:
    """The same as a table to translate by."""
    return _kinds()[:256].tobytes()


def _kind(char: str) -> int:
    category = unicodedata.category(char)
    if category[0] == "S" or char in SYMBOLS:
        return SYMBOL
    if category[0] not in "LMN" and char != "_":
        return BLANK if category[0] in "ZC" else MARK
    return ALONE if unicodedata.name(char, "").startswith(UNSPACED) else LETTER
