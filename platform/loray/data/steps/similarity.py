"""Which pairs of rows are near duplicates, and how similar they are.

Shingles are made again from the turns of just the rows that are in a pair, or in the crowd of one.
Pairs are cut into chunks, rows are sent to every chunk that needs them, and each task compares
some chunks. Of a pair, sets of shingles are compared first, which rules out nearly all; then what
each row says of its own (`loray.data.steps.crowds`); then the texts, for the few differences that
turn what is said (`loray.data.steps.differences`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.batch import Stage
from loray.data.exchange import in_order
from loray.data.ids import row_numbers
from loray.data.steps.candidates import Crowds
from loray.data.steps.components import Components
from loray.data.steps.crowds import OwnParts, is_among
from loray.data.steps.differences import Said, differ, say
from loray.data.steps.shingles import CONTEXT_ROLES, IN_ANSWER, IN_CONTEXT, row_bounds, shingle

if TYPE_CHECKING:
    from ray.data.dataset import MaterializedDataset

Likeness: TypeAlias = Callable[[np.ndarray, Crowds], np.ndarray]
"""From pairs (n, 2) of the ledger's rows, and crowds among them, to the similarity of the two of
each (n,): 0 where they are no near duplicates."""
CHUNK_PAIRS = 2048
"""Pairs compared by one task: a few megabytes of shingles."""
PLACES = 4
"""What a shingle's two lowest bits tell apart."""


class Rule(NamedTuple):
    """When two rows are alike."""

    threshold: float
    """Least Jaccard similarity |A & B| / |A | B| of their shingles, of those outside of the context
    taken by themselves, and of those that the rows say of their own."""
    by_answers: bool
    """Whether the shingles of their answers must be as similar, taken by themselves.

    Else rows that ask many things of one long passage are near duplicates of each other.
    """


@dataclass(frozen=True)
class ShingleRows:
    """Of a batch, the rows that are wanted: their number in `ids`, their chunks, what they say."""

    ids: np.ndarray
    """The ledger's."""
    visits: np.ndarray
    """(n, 2): a wanted row and a chunk that wants it, ordered by row."""
    _wanted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_wanted", np.unique(self.visits[:, 0]))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table of the rows with their chunks.

        Its columns: `row: int64, chunk: int64, shingles: list<uint64>` as sets, and `asked: string,
        answered: string`.
        """
        is_row = np.asarray(pc.is_valid(batch["id"]))
        numbers = np.searchsorted(self.ids, row_numbers(batch["id"].filter(pa.array(is_row))))
        is_wanted = is_among(numbers, self._wanted)
        is_row[is_row] = is_wanted
        numbers = numbers[is_wanted]
        turns = batch["turns"].filter(pa.array(is_row)).combine_chunks()
        sets = shingle(turns).as_sets()
        first = np.searchsorted(self.visits[:, 0], numbers, side="left")
        counts = np.searchsorted(self.visits[:, 0], numbers, side="right") - first
        at = np.repeat(np.arange(len(numbers)), counts)
        place = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
        asked, answered = texts_of(turns)
        values = pa.LargeListArray.from_arrays(sets.starts.astype(np.int64), sets.hashes)
        rows = pa.table(
            {
                "row": numbers,
                "shingles": values,
                "asked": pa.array(asked, pa.large_string()),
                "answered": pa.array(answered, pa.large_string()),
            }
        )
        if len(at) > len(numbers):
            rows = rows.take(pa.array(at))
        return rows.add_column(1, "chunk", pa.array(self.visits[first[at] + place, 1]))


@dataclass(frozen=True)
class CompareChunks:
    """Compare the pairs of some chunks, given all rows that they need, as `ShingleRows` does."""

    pairs: np.ndarray
    bounds: np.ndarray
    """Where each chunk's pairs begin in `pairs`, and where the last one's end."""
    crowds: Crowds
    rule: Rule

    def __call__(self, rows: pa.Table) -> pa.Table:
        """A table `pair: int64, similarity: double` of those alike; `rows` in order of chunk."""
        chunks, starts = np.unique(rows["chunk"].to_numpy(), return_index=True)
        ends = np.append(starts[1:], rows.num_rows)
        pairs, similarities = [np.empty(0, dtype=np.int64)], [np.empty(0)]
        for chunk, start, end in zip(chunks, starts, ends, strict=True):
            first, last = self.bounds[chunk : chunk + 2]
            rows_here = RowsAtHand(rows.slice(start, end - start), self.crowds, self.rule)
            found = rows_here.similarities(self.pairs[first:last])
            pairs.append(first + np.flatnonzero(found))
            similarities.append(found[found > 0])
        return pa.table({"pair": np.concatenate(pairs), "similarity": np.concatenate(similarities)})


class RowsAtHand:
    """Rows that can be compared with each other, as `ShingleRows` gives them."""

    def __init__(self, rows: pa.Table, crowds: Crowds, rule: Rule) -> None:
        self._rows = rows.sort_by("row").combine_chunks()
        self._rule = rule
        self._numbers = self._rows["row"].to_numpy()
        self._values = pc.list_flatten(self._rows["shingles"]).to_numpy()
        lengths = pc.list_value_length(self._rows["shingles"]).to_numpy()
        self._bounds = np.concatenate([[0], np.cumsum(lengths)])
        columns = ("asked", "answered") if rule.by_answers else ("asked",)
        self._columns = [self._rows[name].combine_chunks() for name in columns]
        self._said: dict[int, tuple[Said, ...]] = {}
        self._own = OwnParts(crowds, self._set_of, with_answers=rule.by_answers)

    def similarities(self, pairs: np.ndarray) -> np.ndarray:
        """The similarity of the two rows of each pair; 0 where they are no near duplicates."""
        at = np.searchsorted(self._numbers, pairs)
        small, large = np.sort(self._sizes[at].sum(axis=2), axis=1).T
        shared = np.zeros((len(pairs), PLACES), dtype=np.int64)
        likely = np.flatnonzero(small >= np.maximum(large, 1) * self._rule.threshold)
        for number in likely:  # of the others, no similarity is as great
            one, other = (self._values[self._bounds[n] : self._bounds[n + 1]] for n in at[number])
            both = other[is_among(other, one)]
            shared[number] = np.bincount(both & np.uint64(PLACES - 1), minlength=PLACES)
        total = self._sizes[at].sum(axis=1)
        is_likely = np.zeros(len(pairs), dtype=bool)
        is_likely[likely] = True
        for places in self._compared:
            is_likely &= _reaches(
                self._rule.threshold, shared[:, places].sum(axis=1), total[:, places].sum(axis=1)
            )
        for number in np.flatnonzero(is_likely):
            is_likely[number] = self._say_the_same(*pairs[number].tolist())
        found = shared.sum(axis=1) / np.maximum(total.sum(axis=1) - shared.sum(axis=1), 1)
        return np.where(is_likely, found, 0.0)

    @cached_property
    def _sizes(self) -> np.ndarray:
        """(rows, PLACES): the shingles of each row by place."""
        row = np.repeat(np.arange(len(self._numbers)), np.diff(self._bounds))
        coded = row * PLACES + (self._values & np.uint64(PLACES - 1)).astype(np.int64)
        return np.bincount(coded, minlength=PLACES * len(self._numbers)).reshape(-1, PLACES)

    @property
    def _compared(self) -> list[list[int]]:
        """The places whose shingles are compared by themselves."""
        every = range(PLACES)
        outside = [place for place in every if not place & int(IN_CONTEXT)]
        answers = [place for place in every if place & int(IN_ANSWER)]
        return [list(every), outside, *([answers] if self._rule.by_answers else [])]

    def _say_the_same(self, one: int, other: int) -> bool:
        if self._own.similarity(one, other) < self._rule.threshold:
            return False
        texts = self._texts_of(one), self._texts_of(other)
        if texts[0] == texts[1]:
            return True
        return not differ(self._said_by(one, texts[0]), self._said_by(other, texts[1]))

    def _texts_of(self, row: int) -> list[str]:
        at = self._at(row)
        return [column[at].as_py() for column in self._columns]

    def _said_by(self, row: int, texts: list[str]) -> tuple[Said, ...]:
        if row not in self._said:
            self._said[row] = tuple(map(say, texts))
        return self._said[row]

    def _set_of(self, row: int) -> np.ndarray:
        at = self._at(row)
        return np.asarray(self._values[self._bounds[at] : self._bounds[at + 1]])

    def _at(self, row: int) -> int:
        return int(self._numbers.searchsorted(row))


def texts_of(turns: pa.ListArray) -> tuple[list[str], list[str]]:
    """What each row asks or reads, and what it answers; system turns and tools are neither."""
    bounds = row_bounds(turns)
    row = np.repeat(np.arange(len(turns)), np.diff(bounds))
    flat = turns.flatten()
    asked: list[list[str]] = [[] for _ in range(len(turns))]
    answered: list[list[str]] = [[] for _ in range(len(turns))]
    texts = zip(
        row.tolist(), flat.field("role").to_pylist(), flat.field("content").to_pylist(), strict=True
    )
    for at, role, text in texts:
        if role == "assistant":
            answered[at].append(text)
        elif role not in CONTEXT_ROLES:
            asked[at].append(text)
    return list(map("\n".join, asked)), list(map("\n".join, answered))


def likeness(rows: "MaterializedDataset[pa.Table]", ids: np.ndarray, rule: Rule) -> Likeness:
    """How to compare pairs of the rows of a corpus, in tasks."""

    def compare(pairs: np.ndarray, crowds: Crowds) -> np.ndarray:
        similarity = np.zeros(len(pairs))
        if len(pairs):
            order, bounds, visits = chunked(pairs, crowds, CHUNK_PAIRS)
            send = ShingleRows(ids, visits)
            chunks = CompareChunks(pairs[order], bounds, crowds, rule)
            for found in in_order(rows, send, "chunk", len(bounds) - 1, chunks):
                similarity[order[found["pair"].to_numpy()]] = found["similarity"].to_numpy()
        return similarity

    return compare


def compare_here(
    batches: Callable[[Stage], Iterable[pa.Table]],
    ids: np.ndarray,
    pairs: np.ndarray,
    crowds: Crowds,
    rule: Rule,
) -> np.ndarray:
    """The similarities of pairs; `batches` gives all batches of the corpus, prepared."""
    if not len(pairs):
        return np.zeros(0)
    _, _, visits = chunked(pairs, crowds, len(pairs))
    rows = pa.concat_tables(batches(ShingleRows(ids, visits)))
    return RowsAtHand(rows, crowds, rule).similarities(pairs)


def chunked(
    pairs: np.ndarray, crowds: Crowds, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut pairs into chunks of `size`, those of one component together.

    Returns:
        an order of the pairs; the bounds of the chunks in it; visits as in `ShingleRows`.
    """
    rows, flat = np.unique(pairs, return_inverse=True)
    components = Components(len(rows))
    components.unite(flat.reshape(pairs.shape))
    left = flat.reshape(pairs.shape)[:, 0]
    order = np.lexsort([left, components.roots()[left]])
    bounds = np.append(np.arange(0, len(pairs), size), len(pairs))
    visits = [
        _visits(chunk, pairs[order[a:b]], crowds) for chunk, (a, b) in enumerate(pairwise(bounds))
    ]
    every = np.concatenate(visits)
    return order, bounds, every[np.lexsort([every[:, 1], every[:, 0]])]


def _visits(chunk: int, pairs: np.ndarray, crowds: Crowds) -> np.ndarray:
    """The rows of some pairs and of their crowds, each with the chunk."""
    rows = np.unique(pairs)
    members = crowds.around(rows).members
    wanted = np.union1d(rows, members[members >= 0])
    return np.stack([wanted, np.full(len(wanted), chunk)], axis=1)


def _reaches(threshold: float, shared: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Whether so many shared elements of two sets, whose sizes add up to `total`, are enough.

    Where neither row has any, there is nothing to compare.
    """
    return np.asarray((total == 0) | (shared / np.maximum(total - shared, 1) >= threshold))
