"""True similarity of pairs of rows, by the shingles of just the rows that are in a pair.

Shingles are made again from the rows' turns. Pairs are cut into chunks, rows are sent to every
chunk that needs them, and each task compares some chunks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.batch import Stage
from loray.data.exchange import in_order
from loray.data.ids import row_numbers
from loray.data.steps.components import Components
from loray.data.steps.shingles import shingle

if TYPE_CHECKING:
    from ray.data.dataset import MaterializedDataset

AreAlike: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""From pairs (n, 2) of the ledger's rows to whether the two of each are alike (n,)."""
CHUNK_PAIRS = 2048
"""Pairs compared by one task: a few megabytes of shingles."""


class Rule(NamedTuple):
    """When two rows are alike."""

    threshold: float
    """Least Jaccard similarity |A & B| / |A | B| of their shingles."""
    by_answers: bool
    """Whether the shingles of their answers must be as similar, taken by themselves.

    Else rows that ask many things of one long passage are near duplicates of each other.
    """


@dataclass(frozen=True)
class ShingleRows:
    """Of a batch, the rows that are wanted: their number in `ids`, their chunks, their shingles."""

    ids: np.ndarray
    """The ledger's."""
    visits: np.ndarray
    """(n, 2): a wanted row and a chunk that wants it, ordered by row."""
    _wanted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_wanted", np.unique(self.visits[:, 0]))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table `row: int64, chunk: int64, shingles: list<uint64>`, the shingles as sets."""
        batch = batch.select(["id", "turns"]).filter(pc.is_valid(batch["id"]))
        numbers = np.searchsorted(self.ids, row_numbers(batch["id"]))
        is_wanted = np.isin(numbers, self._wanted)
        numbers = numbers[is_wanted]
        found = shingle(batch["turns"].combine_chunks().filter(pa.array(is_wanted)))
        sets = [
            np.unique(found.hashes[a:b])
            for a, b in zip(found.starts[:-1], found.starts[1:], strict=True)
        ]
        first = np.searchsorted(self.visits[:, 0], numbers, side="left")
        last = np.searchsorted(self.visits[:, 0], numbers, side="right")
        at = np.repeat(np.arange(len(numbers)), last - first)
        chunks = [self.visits[a:b, 1] for a, b in zip(first, last, strict=True)]
        return pa.table(
            {
                "row": numbers[at],
                "chunk": np.concatenate([*chunks, np.empty(0, dtype=np.int64)]),
                "shingles": _lists([sets[n] for n in at]),
            }
        )


@dataclass(frozen=True)
class CompareChunks:
    """Compare the pairs of some chunks, given all rows that they need, as `ShingleRows` does."""

    pairs: np.ndarray
    bounds: np.ndarray
    """Where each chunk's pairs begin in `pairs`, and where the last one's end."""
    rule: Rule

    def __call__(self, rows: pa.Table) -> pa.Table:
        """A table `pair: int64` of those that are alike; `rows` in order of chunk."""
        chunks, starts = np.unique(rows["chunk"].to_numpy(), return_index=True)
        ends = np.append(starts[1:], rows.num_rows)
        found = [np.empty(0, dtype=np.int64)]
        for chunk, start, end in zip(chunks, starts, ends, strict=True):
            first, last = self.bounds[chunk : chunk + 2]
            alike = are_alike(rows.slice(start, end - start), self.pairs[first:last], self.rule)
            found.append(first + np.flatnonzero(alike))
        return pa.table({"pair": np.concatenate(found)})


def are_alike(rows: pa.Table, pairs: np.ndarray, rule: Rule) -> np.ndarray:
    """Which pairs are alike by `rule`; `rows` as `ShingleRows` gives them."""
    rows = rows.sort_by("row").combine_chunks()
    values = pc.list_flatten(rows["shingles"]).to_numpy()
    sizes = pc.list_value_length(rows["shingles"]).to_numpy()
    starts = np.cumsum(sizes) - sizes
    at = np.searchsorted(rows["row"].to_numpy(), pairs)
    small, large = np.sort(sizes[at], axis=1).T
    shared = np.zeros((2, len(pairs)), dtype=np.int64)  # of all shingles; of those of answers
    for number in np.flatnonzero(
        small / np.maximum(large, 1) >= rule.threshold
    ):  # no similarity is greater
        one, other = (values[starts[n] : starts[n] + sizes[n]] for n in at[number])
        place = np.searchsorted(one, other)
        both = other[one[np.minimum(place, len(one) - 1)] == other]
        shared[:, number] = len(both), np.count_nonzero(both & np.uint64(1))
    alike = _reaches(rule.threshold, shared[0], sizes[at].sum(axis=1))
    alike[large == 0] = False
    if rule.by_answers:
        odd = np.concatenate([[0], np.cumsum(values & np.uint64(1), dtype=np.int64)])
        answers = odd[starts + sizes] - odd[starts]
        alike &= _reaches(rule.threshold, shared[1], answers[at].sum(axis=1))
    return alike


def likeness(rows: "MaterializedDataset[pa.Table]", ids: np.ndarray, rule: Rule) -> AreAlike:
    """How to compare pairs of the rows of a corpus, in tasks."""

    def compare(pairs: np.ndarray) -> np.ndarray:
        alike = np.zeros(len(pairs), dtype=bool)
        if len(pairs):
            order, bounds, visits = chunked(pairs, CHUNK_PAIRS)
            send = ShingleRows(ids, visits)
            chunks = CompareChunks(pairs[order], bounds, rule)
            for found in in_order(rows, send, "chunk", len(bounds) - 1, chunks):
                alike[order[found["pair"].to_numpy()]] = True
        return alike

    return compare


def compare_here(
    batches: Callable[[Stage], Iterable[pa.Table]],
    ids: np.ndarray,
    pairs: np.ndarray,
    rule: Rule,
) -> np.ndarray:
    """Which pairs are alike; `batches` gives all batches of the corpus, prepared."""
    if not len(pairs):
        return np.zeros(0, dtype=bool)
    wanted = np.unique(pairs)
    visits = np.stack([wanted, np.zeros_like(wanted)], axis=1)
    rows = pa.concat_tables(batches(ShingleRows(ids, visits)))
    return are_alike(rows, pairs, rule)


def chunked(pairs: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut pairs into chunks of `size`, those of one component together.

    Returns:
        an order of the pairs; the bounds of the chunks in it; visits as in `ShingleRows`.
    """
    rows, flat = np.unique(pairs, return_inverse=True)
    components = Components(len(rows))
    components.unite(flat.reshape(pairs.shape))
    left = flat.reshape(pairs.shape)[:, 0]
    order = np.lexsort([left, components.roots()[left]])
    chunk = np.arange(len(pairs)) // size
    bounds = np.append(np.arange(0, len(pairs), size), len(pairs))
    both = np.stack([pairs[order].ravel(), np.repeat(chunk, 2)], axis=1)
    return order, bounds, np.unique(both, axis=0)


def _reaches(threshold: float, shared: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Whether so many shared elements of two sets, whose sizes add up to `total`, are enough.

    Two empty sets are equal.
    """
    return np.asarray((total == 0) | (shared / np.maximum(total - shared, 1) >= threshold))


def _lists(arrays: list[np.ndarray]) -> pa.LargeListArray:
    sizes = np.fromiter(map(len, arrays), dtype=np.int64, count=len(arrays))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    values = np.concatenate([*arrays, np.empty(0, dtype=np.uint64)])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values))
