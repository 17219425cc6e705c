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
from loray.data.steps.similarity import AreAlike, Rule
from loray.spec.steps import ExactDuplicatesStep, NearDuplicatesStep, Step

REASON = "exact_duplicate"
MOVED_ROWS = 1 << 16


def mark_duplicates(
    ledger: Ledger,
    steps: Sequence[Step],
    tables: Callable[[], Iterable[pa.Table]],
    likeness: Callable[[Rule], AreAlike],
) -> None:
    """Reject every row that is a duplicate of a row with a smaller id.

    Several such steps count in their order: a row that one rejects takes no part in the next. What
    a later step said of a duplicate does not count: it would not have seen the row.

    Args:
        tables: gives the rows' ids with their digests and band keys, in any order.
        likeness: gives, for a rule, how pairs of the ledger's rows are compared.
    """
    for number, step in enumerate(steps):
        if isinstance(step, ExactDuplicatesStep):
            rows, digests = _taking_part(ledger, tables(), digest_column(number))
            _mark(ledger, rows, _first_equal(digests), REASON)
        elif isinstance(step, NearDuplicatesStep):
            rows, digests = _taking_part(ledger, tables(), band_column(number))
            keys = digests.view("<u4").reshape(len(rows), digests.itemsize // 4)
            are_alike = likeness(Rule(step.threshold, step.by_answers))
            originals = near_duplicates.find_originals(keys, _among(rows, are_alike))
            _mark(ledger, rows, originals, near_duplicates.REASON)
    _follow(ledger)


def _taking_part(
    ledger: Ledger, tables: Iterable[pa.Table], column: str
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are compared, ordered by id as the ledger is, and what they are compared by.

    That is 84 bytes a row for near duplicates at the usual threshold, so it is held but once.
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


def _among(rows: np.ndarray, are_alike: AreAlike) -> AreAlike:
    """The same for pairs of places in `rows`."""
    return lambda pairs: are_alike(rows[pairs])


def _mark(ledger: Ledger, rows: np.ndarray, originals: np.ndarray, reason: str) -> None:
    is_duplicate = originals != np.arange(len(rows))
    ledger.original[rows[is_duplicate]] = rows[originals[is_duplicate]]
    ledger.rejected_by[rows[is_duplicate]] = reason


def _first_equal(values: np.ndarray) -> np.ndarray:
    """For each entry the first one that equals it."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()])


def _follow(ledger: Ledger) -> None:
    """A row kept by one step and rejected by the next hands its duplicates on."""
    while True:
        found = np.flatnonzero(ledger.original >= 0)
        above = ledger.original[ledger.original[found]]
        if not (above >= 0).any():
            return
        ledger.original[found[above >= 0]] = above[above >= 0]
