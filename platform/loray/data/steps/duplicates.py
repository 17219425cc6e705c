"""Exact duplicates over the whole corpus, decided on the ledger."""

from collections.abc import Sequence

import numpy as np

from loray.data.ledger import Ledger
from loray.data.steps.chain import digest_column
from loray.spec.steps import ExactDuplicatesStep, Step

REASON = "exact_duplicate"


def mark_exact_duplicates(ledger: Ledger, steps: Sequence[Step]) -> None:
    """Reject every row that has the digest of a row with a smaller id.

    Several such steps count in their order. What a later step said of a duplicate does not: it
    would not have seen the row.
    """
    is_duplicate = np.zeros(len(ledger.ids), dtype=bool)
    for number, step in enumerate(steps):
        if isinstance(step, ExactDuplicatesStep):
            digests, has_one = ledger.digests[digest_column(number)]
            rows = np.flatnonzero(has_one & ~is_duplicate)  # ordered by id, as the ledger is
            is_duplicate[rows[~_is_first(digests[rows])]] = True
    ledger.rejected_by[is_duplicate] = REASON


def _is_first(values: np.ndarray) -> np.ndarray:
    """Which entries do not equal one before them."""
    order = np.argsort(values, kind="stable")
    is_new = np.ones(len(values), dtype=bool)
    is_new[1:] = values[order][1:] != values[order][:-1]
    found = np.empty(len(values), dtype=bool)
    found[order] = is_new
    return found
