"""Near duplicates over the whole corpus: candidates by bands, compared, and one of each star kept.

What holds, for any number of workers and any cut into batches:

- A row that is rejected is a near duplicate (`loray.data.steps.similarity`) of the very row that is
  kept for it: their true similarity is at least the threshold. There are no chains, and nobody is
  rejected on an estimate.
- Rows are taken in the order of their ids: of two near duplicates that meet, the one with the
  smaller id is kept, unless it has been rejected for a third row.
- Two rows at the threshold meet in some bucket in 995 of 1000 cases, and more similar ones more
  often. In a bucket of more than `WINDOW + 1` rows a row is compared with the first of the bucket
  and with its neighbours only (`candidates`), so such a pair can be missed there, and is found all
  the same if it meets in a smaller one.
- The work is linear: at most `bands x (WINDOW + 1)` comparisons a row.

A corpus of near-equal rows takes about one comparison a row and band: every row is compared with
the first of each of its buckets, and those that are near duplicates of it are compared no more.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from loray.data.steps.candidates import WINDOW, crowds_of, heads, neighbours
from loray.data.steps.similarity import Likeness

REASON = "near_duplicate"
ROUND_PAIRS = 1 << 22
"""Pairs compared in one round over the corpus: 64 MiB of row numbers."""


class Originals(NamedTuple):
    """What becomes of rows; arrays of one length."""

    kept: np.ndarray
    """The row that is kept for each row, which is itself for a row that is kept."""
    similarity: np.ndarray
    """Of each row with the row that is kept for it; 1 for itself."""


def find_originals(
    keys: np.ndarray, likeness: Likeness, is_fixed: np.ndarray | None = None
) -> Originals:
    """The row that is kept for each row.

    Args:
        keys: band keys (rows, bands), ordered by id.
        likeness: the similarity of each pair (n, 2) of rows, 0 for what are no near duplicates.
        is_fixed: rows that must be kept, since others have been rejected for them.
    """
    search = _Search(keys, likeness, np.zeros(len(keys), bool) if is_fixed is None else is_fixed)
    search.compare(heads(keys))
    left = search.kept_rows()
    search.compare(left[pairs] for pairs in neighbours(keys[left], WINDOW))
    search.compare_orphans()
    return Originals(search.kept, search.similarity)


class _Search:
    """Stars as they grow: rows that are kept, each with the rows that are rejected for it."""

    def __init__(self, keys: np.ndarray, likeness: Likeness, is_fixed: np.ndarray) -> None:
        self.kept = np.arange(len(keys))
        self.similarity = np.ones(len(keys))
        self._keys = keys
        self._likeness = likeness
        self._crowds = crowds_of(keys)
        self._is_center = is_fixed.copy()
        self._is_fixed = is_fixed.copy()
        self._compared = np.empty(0, dtype=np.int64)
        self._orphans: dict[int, int] = {}
        """Rows whose star was given up, each with the row for which its center was rejected."""

    def kept_rows(self) -> np.ndarray:
        """The rows that nothing has been found for so far."""
        return np.flatnonzero(self.kept == np.arange(len(self.kept)))

    def compare(self, proposed: Iterable[np.ndarray]) -> None:
        """Compare pairs of rows that are both kept, and reject one of each that are alike."""
        for pairs in self._rounds(proposed):
            similarity = self._likeness(pairs, self._crowds.around(np.unique(pairs)))
            is_alike = similarity > 0
            self._settle(pairs[is_alike], similarity[is_alike])

    def compare_orphans(self) -> None:
        """Find another star for each row that lost its own; no star is given up any more."""
        if not self._orphans:
            return
        self._is_fixed[:] = True
        self._compared = self._compared[:0]  # an orphan may be like a row it was not rejected for
        left = self.kept_rows()
        is_orphan = np.zeros(len(self.kept), dtype=bool)
        is_orphan[list(self._orphans)] = True
        given = np.array(list(self._orphans.items()), dtype=np.int64)
        near = (left[pairs] for pairs in neighbours(self._keys[left], WINDOW))
        self.compare([np.sort(given, axis=1), *(p[is_orphan[p].any(axis=1)] for p in near)])

    def _rounds(self, proposed: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pairs that are still open when their round begins, each once in all rounds."""
        pending: list[np.ndarray] = []
        num_pending = 0
        for pairs in proposed:
            pending.append(pairs)
            num_pending += len(pairs)
            if num_pending >= ROUND_PAIRS:
                yield self._open(pending)
                pending, num_pending = [], 0
        if num_pending:
            yield self._open(pending)

    def _open(self, pending: list[np.ndarray]) -> np.ndarray:
        pairs = np.concatenate(pending)
        pairs = pairs[(self.kept[pairs] == pairs).all(axis=1)]
        coded = np.setdiff1d(pairs[:, 0] * len(self.kept) + pairs[:, 1], self._compared)
        self._compared = np.union1d(self._compared, coded)
        return np.stack(np.divmod(coded, len(self.kept)), axis=1)

    def _settle(self, pairs: np.ndarray, similarity: np.ndarray) -> None:
        """Take pairs of near duplicates in the order of their larger rows, likest first."""
        order = np.lexsort([pairs[:, 0], -similarity, pairs[:, 1]])
        for at in order.tolist():
            small, large = pairs[at].tolist()
            if self.kept[small] != small or self.kept[large] != large:
                continue
            if self._is_center[large] and not self._is_center[small]:
                small, large = large, small
            elif self._is_center[large]:
                if self._is_fixed[large]:
                    continue
                self._give_up(large, small)
            self.kept[large], self.similarity[large] = small, similarity[at]
            self._is_center[small] = True

    def _give_up(self, center: int, kept: int) -> None:
        """Set the rows free that were rejected for `center`, which is rejected for `kept`."""
        rows = np.flatnonzero(self.kept == center)
        self.kept[rows], self.similarity[rows] = rows, 1.0
        self._is_center[center] = False
        self._orphans |= {row: kept for row in rows.tolist() if row != center}
