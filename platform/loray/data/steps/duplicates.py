"""Duplicates over the whole corpus, exact and near, decided on the ledger."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.ids import row_numbers
from loray.data.ledger import Ledger
from loray.data.steps import near_duplicates
from loray.data.steps.chain import digest_column
from loray.data.steps.minhash import band_column
from loray.data.steps.similarity import Likeness, Rule
from loray.spec.steps import ExactDuplicatesStep, NearDuplicatesStep, Step

REASON = "exact_duplicate"
MOVED_ROWS = 1 << 16


def mark_duplicates(
    ledger: Ledger,
    steps: Sequence[Step],
    tables: Callable[[], Iterable[pa.Table]],
    likeness: Callable[[Rule], Likeness],
) -> None:
    """Reject every row that is a duplicate of another.

    Several such steps count in their order: a row that one rejects takes no part in the next. What
    a later step said of a duplicate does not count: it would not have seen the row. A row that
    others were rejected for as near duplicates stays: what is like it need not be like them.

    Args:
        tables: gives the rows' ids with their digests and band keys, in any order.
        likeness: gives, for a rule, how pairs of the ledger's rows are compared.
    """
    for number, step in enumerate(steps):
        if isinstance(step, ExactDuplicatesStep):
            rows, digests = _taking_part(ledger, tables(), digest_column(number))
            _mark(ledger, rows, _first_equal(digests), REASON, np.nan)
        elif isinstance(step, NearDuplicatesStep):
            rows, digests = _taking_part(ledger, tables(), band_column(number))
            keys = digests.view("<u4").reshape(len(rows), digests.itemsize // 4)
            compare = _among(rows, likeness(Rule(step.threshold, step.by_answers)))
            is_fixed = np.isin(rows, ledger.original[~np.isnan(ledger.similarity)])
            kept, similarity = near_duplicates.find_originals(keys, compare, is_fixed)
            _mark(ledger, rows, kept, near_duplicates.REASON, similarity)
    _follow(ledger)


def _taking_part(
    ledger: Ledger, tables: Iterable[pa.Table], column: str
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are compared, ordered by id as the ledger is, and what they are compared by.

    That is 56 bytes a row for near duplicates at the usual threshold, so it is held but once.
    """
    has_one = np.zeros(len(ledger.ids), dtype=bool)
    digests = np.empty(0, dtype="S1")
    for table in tables:
        found = table.select(["id", column]).filter(pc.is_valid(table[column])).combine_chunks()
        if not len(digests):
            digests = np.empty(len(ledger.ids), dtype=f"S{found[column].type.byte_width}")
        rows = np.searchsorted(ledger.ids, row_numbers(found["id"]))
        has_one[rows] = True
        for chunk in found[column].chunks:  # one, or none
            digests[rows] = np.frombuffer(_bytes_of(chunk), dtype=digests.dtype)
    rows = np.flatnonzero(has_one & (ledger.original < 0))
    for at in range(0, len(rows), MOVED_ROWS):  # to the front: no row moves back, so none is lost
        digests[at : at + MOVED_ROWS][: len(rows) - at] = digests[rows[at : at + MOVED_ROWS]]
    return rows, digests[: len(rows)]


def _bytes_of(digests: pa.FixedSizeBinaryArray) -> memoryview:
    """Digests of a fixed length, one after another."""
    width = digests.type.byte_width
    start = digests.offset * width
    return memoryview(digests.buffers()[1])[start : start + len(digests) * width]


def _among(rows: np.ndarray, compare: Likeness) -> Likeness:
    """The same for pairs of places in `rows`."""
    return lambda pairs, crowds: compare(rows[pairs], crowds.renamed(rows))


def _mark(
    ledger: Ledger,
    rows: np.ndarray,
    originals: np.ndarray,
    reason: str,
    similarity: np.ndarray | float,
) -> None:
    is_duplicate = originals != np.arange(len(rows))
    marked = rows[is_duplicate]
    ledger.original[marked] = rows[originals[is_duplicate]]
    ledger.rejected_by[marked] = reason
    ledger.similarity[marked] = np.broadcast_to(similarity, len(rows))[is_duplicate]


def _first_equal(values: np.ndarray) -> np.ndarray:
    """For each entry the first one that equals it."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()])


def _follow(ledger: Ledger) -> None:
    """A row kept by one step and rejected by the next hands its duplicates on.

    One of the two steps compares texts that are equal, so the other's similarity holds for both.
    """
    while True:
        found = np.flatnonzero(ledger.original >= 0)
        between = ledger.original[found]
        above = ledger.original[between]
        if not (above >= 0).any():
            return
        found, between, above = (rows[above >= 0] for rows in (found, between, above))
        ledger.original[found] = above
        pair = ledger.similarity[found], ledger.similarity[between]
        ledger.similarity[found] = np.fmin(*pair)
