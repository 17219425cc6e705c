"""Rows that hold what a model will be examined on, found by word n-grams.

A text of an evaluation item with at least `n` words contaminates every row that shares one run of
`n` words with it, within one turn. Case, layout, punctuation and symbols make no difference (see
`loray.data.steps.words`); 13 words are the usual choice, 8 find looser quotations.

- An n-gram that occurs in more than `MAX_ITEMS` different texts is boilerplate ("answer the
  following question ...") and proves nothing. Equal texts count once.
- A text with fewer than `n` words, or of which boilerplate leaves nothing, is compared whole: it
  contaminates a row of which a turn has just its words. From `MIN_CONTAINED` words on, a turn that
  holds all of them in a row is enough, if a text of fewer than `n` words has them.
- A text with fewer than `MIN_WORDS` words is not looked for: every row answered "yes" would go.

So give what is asked, and long answers too if they must not be learned; a label or a number is
never looked for by itself.

Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C (13-grams, and
n-grams that are too frequent are left out).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.batch import is_in, put, reject
from loray.data.ids import scramble
from loray.data.steps.shingles import row_bounds
from loray.data.steps.words import SLICE_CHARS, Words, runs_of, words_of

REASON = "contaminated"
MAX_ITEMS = 4
MIN_WORDS = 3
MIN_CONTAINED = 6
FACTOR = np.uint64(0xD1342543DE82EF95)
"""Odd; its powers tell the words of a run apart by their places."""
FILTER_BITS = 22
"""4 MiB of marks: a million n-grams leave three of four unknown ones to be searched for no more."""


Hit: TypeAlias = tuple[int, int, int]
"""Place of the first word, number of words, and number of the evaluation text."""


class Match(NamedTuple):
    """Why a text is contaminated."""

    item: str
    """Id of the evaluation item; of several, the one that was given first."""
    words: str
    """What both have in common, normalised."""


@dataclass(frozen=True)
class Table:
    """Hashes of word runs, and which text each is from."""

    keys: np.ndarray
    """uint64, ordered, each once."""
    texts: np.ndarray
    """int32: number in `EvalIndex.items`."""

    @classmethod
    def of(cls, keys: np.ndarray, texts: np.ndarray) -> Self:
        """Of equal keys the one of the smallest text is kept."""
        order = np.lexsort([texts, keys])
        unique, first = np.unique(keys[order], return_index=True)
        return cls(unique, texts[order][first].astype(np.int32))

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The text of each key, or -1."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int32)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.texts[at], np.int32(-1))


@dataclass(frozen=True)
class EvalIndex:
    """What evaluation items are known by; a few bytes for each of their words."""

    n: int
    items: tuple[str, ...]
    """The id of the item of each text."""
    grams: Table
    whole: Table
    """Of the words of whole texts."""
    openings: Table
    """The first `MIN_CONTAINED` words of texts that are looked for inside turns."""
    num_unchecked: int
    """Texts of so few words that they are not looked for."""
    _filter: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_filter", _filter_of(self.grams.keys))

    def __reduce__(self) -> tuple[object, ...]:
        """Without the filter, which is made again in a blink."""
        return EvalIndex, (
            self.n, self.items, self.grams, self.whole, self.openings, self.num_unchecked,
        )  # fmt: skip

    def find(self, texts: Sequence[str]) -> dict[int, Match]:
        """What contaminates each text that is contaminated, by the text's number in `texts`."""
        sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
        found: dict[int, Match] = {}
        for start, end in runs_of(sizes, SLICE_CHARS):
            words = words_of(texts[start:end], with_symbols=False)
            for text, match in self._find_in(words, end - start).items():
                found[start + text] = match
        return found

    def _find_in(self, words: Words, num_texts: int) -> dict[int, Match]:
        hits = [*self._grams_in(words), *self._whole_in(words, num_texts)]
        hits += self._contained_in(words)
        found: dict[int, Match] = {}
        for at, length, text in sorted(hits):  # the first place in a text keeps the credit
            shared = " ".join(
                words.joined[words.start[n] : words.end[n]] for n in range(at, at + length)
            )
            found.setdefault(int(words.text[at]), Match(self.items[text], shared))
        return found

    def _grams_in(self, words: Words) -> list[Hit]:
        grams, at = _grams(words, self.n)
        likely = np.flatnonzero(self._filter[grams >> np.uint64(64 - FILTER_BITS)])
        texts = self.grams.find(grams[likely])
        return [(int(at[likely[n]]), self.n, int(texts[n])) for n in np.flatnonzero(texts >= 0)]

    def _whole_in(self, words: Words, num_texts: int) -> list[Hit]:
        keys, first, counts = _whole(words, num_texts)
        texts = self.whole.find(keys)
        known = np.flatnonzero((texts >= 0) & (counts > 0))
        return [(int(first[n]), int(counts[n]), int(texts[n])) for n in known]

    def _contained_in(self, words: Words) -> list[Hit]:
        """Short texts inside longer turns: found by their opening, then compared whole."""
        openings, places = _grams(words, MIN_CONTAINED)
        found: list[Hit] = []
        for at in places[self.openings.find(openings) >= 0].tolist():
            for length in range(MIN_CONTAINED, self.n):
                span = words.hashes[at : at + length]
                if len(span) < length or words.text[at + length - 1] != words.text[at]:
                    break
                text = int(self.whole.find(_fold(span[None, :]))[0])
                if text >= 0:
                    found.append((at, length, text))
        return found


def build_index(items: Iterable[tuple[str, str]], n: int = 13) -> EvalIndex:
    """The index of evaluation items, each an id and a text; an item may come with several texts."""
    given = list(items)
    ids, texts = [item for item, _ in given], [text for _, text in given]
    words = words_of(texts, with_symbols=False)
    whole, first, counts = _whole(words, len(texts))
    is_first = np.zeros(len(texts), dtype=bool)
    is_first[np.unique(whole, return_index=True)[1]] = True
    grams = _rare_grams(words, is_first, n)
    is_long = np.isin(np.arange(len(texts)), grams.texts)
    by_whole = np.flatnonzero(is_first & ~is_long & (counts >= MIN_WORDS))
    short = by_whole[(counts[by_whole] >= MIN_CONTAINED) & (counts[by_whole] < n)]
    openings = words.hashes[first[short][:, None] + np.arange(MIN_CONTAINED)]
    return EvalIndex(
        n,
        tuple(ids),
        grams,
        Table.of(whole[by_whole], by_whole),
        Table.of(_fold(openings), short),
        int(np.count_nonzero(counts < MIN_WORDS)),
    )


def eval_texts(batches: Iterable[pa.Table], n: int = 13) -> Iterator[tuple[str, str]]:
    """What to look for of rows to be examined on, as `build_index` takes it.

    Questions and raw texts always; answers of at least `n` words; system turns never, since they
    say nothing of the item. A row that could not be read gives nothing. An item goes by its file
    and line, for which blocks have to come in their order.
    """
    source, num_before = None, 0
    for batch in batches:
        if (name := batch["source"][0].as_py()) not in (source, None):
            source, num_before = name, 0
        rows = batch.filter(pc.is_valid(batch["turns"]))
        turns = rows["turns"].combine_chunks()
        flat = turns.flatten()
        texts, roles = flat.field("content").to_pylist(), flat.field("role").to_pylist()
        num_words = np.bincount(words_of(texts, with_symbols=False).text, minlength=len(texts))
        row = np.searchsorted(row_bounds(turns), np.arange(len(texts)), side="right") - 1
        lines = rows["line"].to_numpy()[row] + num_before
        for text, role, line, count in zip(texts, roles, lines, num_words, strict=True):
            if role in ("user", "text") or (role == "assistant" and count >= n):
                yield f"{source}:{line}", text
        if batch["id"][-1].as_py() is None:  # the block's tally
            num_before += batch["line"][-1].as_py()


def mark_contaminated(batch: pa.Table, *, index: EvalIndex) -> pa.Table:
    """Reject rows that hold something of an evaluation item, and say in `note` what."""
    alive = is_in(batch)
    turns = batch["turns"].combine_chunks().filter(pa.array(alive))
    bounds = row_bounds(turns)
    found = index.find(turns.flatten().field("content").to_pylist())
    rows = np.flatnonzero(alive)
    reasons: list[str | None] = [None] * len(alive)
    notes = batch["note"].to_pylist()
    for text in sorted(found, reverse=True):  # of several turns the first keeps the credit
        row = rows[np.searchsorted(bounds, text, side="right") - 1]
        reasons[row] = REASON
        notes[row] = f"{found[text].item}: {found[text].words}"
    return put(reject(batch, reasons), "note", pa.array(notes, pa.string()))


def _grams(words: Words, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A hash of each run of `n` words within a text, and where the run begins."""
    count = max(len(words.hashes) - n + 1, 0)
    sums = np.zeros(count, dtype=np.uint64)
    for place, weight in enumerate(_weights(n)):
        sums += words.hashes[place : place + count] * weight
    at = np.flatnonzero(words.text[:count] == words.text[n - 1 : n - 1 + count])
    return scramble(sums[at]), at


def _whole(words: Words, num_texts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A hash of all words of each text, where they begin, and how many they are."""
    counts = np.bincount(words.text, minlength=num_texts)
    first = np.cumsum(counts) - counts
    weights = _weights(int(counts.max(initial=0)))
    sums = np.zeros(len(words.hashes) + 1, dtype=np.uint64)
    places = np.arange(len(words.hashes)) - first[words.text]
    np.cumsum(words.hashes * weights[places], out=sums[1:])
    return scramble(sums[first + counts] - sums[first]), first, counts


def _fold(hashes: np.ndarray) -> np.ndarray:
    """A hash of each row of words (rows, n), as `_grams` and `_whole` give it."""
    return scramble((hashes * _weights(hashes.shape[1])).sum(axis=1, dtype=np.uint64))


def _weights(count: int) -> np.ndarray:
    return np.cumprod(np.full(count, FACTOR), dtype=np.uint64)


def _rare_grams(words: Words, is_counted: np.ndarray, n: int) -> Table:
    """The n-grams of the texts that count, without those that are boilerplate."""
    grams, at = _grams(words, n)
    texts = words.text[at]
    grams, texts = grams[is_counted[texts]], texts[is_counted[texts]]
    pairs = np.unique(np.stack([grams, texts.astype(np.uint64)], axis=1), axis=0)
    _, inverse, num_texts = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
    rare = pairs[num_texts[inverse.ravel()] <= MAX_ITEMS]
    return Table.of(rare[:, 0], rare[:, 1].astype(np.int64))


def _filter_of(keys: np.ndarray) -> np.ndarray:
    """Marks of the first bits of all keys, so that most that are unknown need no search."""
    marks = np.zeros(1 << FILTER_BITS, dtype=bool)
    marks[keys >> np.uint64(64 - FILTER_BITS)] = True
    return marks
