"""Connected components, grown by pairs: who belongs together, and the smallest of each."""

import numpy as np


class Components:
    """A partition of the rows 0 to n - 1, each alone to begin with."""

    def __init__(self, count: int) -> None:
        self._roots = np.arange(count)

    def roots(self) -> np.ndarray:
        """The smallest row of each row's component."""
        return self._roots

    def apart(self, pairs: np.ndarray) -> np.ndarray:
        """Those of `pairs` (n, 2) whose two rows are not in one component yet."""
        is_apart = self._roots[pairs[:, 0]] != self._roots[pairs[:, 1]]
        return np.asarray(pairs[is_apart])

    def unite(self, pairs: np.ndarray) -> np.ndarray:
        """Join both rows of each pair; returns the pairs that joined what was apart till then."""
        pairs = self.apart(pairs)
        parents: dict[int, int] = {}
        joins = np.zeros(len(pairs), dtype=bool)
        for at, (one, other) in enumerate(self._roots[pairs].tolist()):
            low, high = sorted((_find(parents, one), _find(parents, other)))
            if low != high:
                parents[high] = low
                joins[at] = True
        if parents:
            self._roots[list(parents)] = list(parents.values())
            self._flatten()
        return pairs[joins]

    def _flatten(self) -> None:
        while True:
            above = self._roots[self._roots]
            if np.array_equal(above, self._roots):
                return
            self._roots = above


def _find(parents: dict[int, int], row: int) -> int:
    """The root above `row`; the way there is halved, so that no chain stays long."""
    while (above := parents.get(row, row)) != row:
        parents[row] = row = parents.get(above, above)
    return row
