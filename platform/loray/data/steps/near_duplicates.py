"""Near duplicates over the whole corpus: candidates by bands, verified, joined, one of each kept.

What holds, for any number of workers and any cut into batches:

- Nobody is rejected on an estimate: a chain of verified pairs leads from every rejected row to the
  row that is kept in its stead, each with a true Jaccard similarity of at least the threshold, in
  their answers also if the rule is so (`similarity.Rule`).
- The row kept is the one of the smallest id in its component.
- Two rows that are alike and share a bucket of up to `WINDOW + 1` rows are in one
  component. Of two that are just at the threshold 995 in 1000 share a bucket; of more similar ones
  more do. In a larger bucket rows are compared with neighbours only (`candidates`), so such a pair
  can be missed there, and is found all the same if it meets in a smaller one.
- The work is linear: at most `bands x WINDOW` comparisons a row.

A corpus of near-equal rows takes about one comparison a row: a spanning forest of the candidate
pairs is verified first, and what it connects is not compared again.
"""

from collections.abc import Iterator

import numpy as np

from loray.data.steps.candidates import WINDOW, neighbours
from loray.data.steps.components import Components
from loray.data.steps.similarity import AreAlike

REASON = "near_duplicate"
ROUND_PAIRS = 1 << 22
"""Pairs verified in one round over the corpus: 64 MiB of row numbers."""


def find_originals(keys: np.ndarray, are_alike: AreAlike) -> np.ndarray:
    """The row kept in the stead of each row, which is itself for a row that is kept.

    Args:
        keys: band keys (rows, bands), ordered by id.
        are_alike: tells of pairs (n, 2) of rows which are near duplicates.
    """
    forest, found = Components(len(keys)), Components(len(keys))
    likely = [forest.unite(pairs) for pairs in neighbours(keys, 1)]
    if likely:
        pairs = np.concatenate(likely)
        found.unite(pairs[are_alike(pairs)])
        for pairs in _rounds(keys, found):
            found.unite(pairs[are_alike(pairs)])
    return found.roots()


def _rounds(keys: np.ndarray, found: Components) -> Iterator[np.ndarray]:
    """All candidate pairs that are still apart when their round begins, each once a round."""
    pending: list[np.ndarray] = []
    num_pending = 0
    for pairs in neighbours(keys, WINDOW):
        pending.append(found.apart(pairs))
        num_pending += len(pending[-1])
        if num_pending >= ROUND_PAIRS:
            yield _each_once(pending, found, len(keys))
            pending, num_pending = [], 0
    if num_pending:
        yield _each_once(pending, found, len(keys))


def _each_once(pending: list[np.ndarray], found: Components, num_rows: int) -> np.ndarray:
    pairs = found.apart(np.concatenate(pending))
    coded = np.unique(pairs[:, 0] * num_rows + pairs[:, 1])
    return np.stack(np.divmod(coded, num_rows), axis=1)
