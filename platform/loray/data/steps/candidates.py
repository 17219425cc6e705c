"""Which rows are worth comparing, by their band keys: never more than a row can bear.

Rows with the same key in one band are a bucket. A bucket of up to `WINDOW + 1` rows gives all its
pairs. In a larger one every row is paired with the `WINDOW` rows before it only, in the order of
the keys of the next bands, so that rows which agree in more bands stand side by side. So there are
at most `bands x WINDOW` pairs a row, whatever the corpus.

A row's crowd is a sample of the rows that share buckets with it: what it is judged by when a row
says something of its own and when it says what all of them say (`loray.data.steps.crowds`).
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np

WINDOW = 8
NUM_KEYS = 3
"""Keys that a bucket is ordered by, its own among them."""
CROWD = 16
"""Rows of a crowd, at most."""
DISTANCES = (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""How far apart in a bucket's order the members of a crowd stand, so that they are of all kinds."""


class Crowds(NamedTuple):
    """Who stands around some rows."""

    rows: np.ndarray
    """Those that have a crowd, in order."""
    members: np.ndarray
    """(rows, CROWD): their crowds; -1 where a crowd is smaller."""

    def of(self, row: int) -> list[int]:
        """The crowd of a row; empty for one that shares no bucket."""
        at = int(np.searchsorted(self.rows, row))
        if at == len(self.rows) or self.rows[at] != row:
            return []
        return [member for member in self.members[at].tolist() if member >= 0]

    def around(self, rows: np.ndarray) -> Self:
        """The crowds of these rows alone; `rows` in order, each once."""
        is_wanted = np.isin(self.rows, rows)
        return self._replace(rows=self.rows[is_wanted], members=self.members[is_wanted])

    def renamed(self, names: np.ndarray) -> Self:
        """The same with `names[row]` for each row; names are in order."""
        members = np.where(self.members < 0, -1, names[self.members])
        return self._replace(rows=names[self.rows], members=members)


def neighbours(keys: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """Pairs (n, 2) of rows of `keys` (rows, bands), at most `window` apart in one bucket.

    The smaller row comes first; a pair comes once for each band in which it is found.
    """
    for rows, bucket in _buckets(keys):
        for distance in range(1, window + 1):
            near = np.flatnonzero(bucket[distance:] == bucket[:-distance])
            if not len(near):
                break
            yield np.sort(np.stack([rows[near], rows[near + distance]], axis=1), axis=1)


def heads(keys: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs (n, 2) of the smallest row of each bucket with every other row of it."""
    for rows, bucket in _buckets(keys):
        if len(rows):
            starts = np.flatnonzero(np.diff(bucket, prepend=~bucket[0]) != 0)
            sizes = np.diff(np.append(starts, len(rows)))
            first = np.repeat(np.minimum.reduceat(rows, starts), sizes)
            yield np.stack([first, rows], axis=1)[first != rows]


def crowds_of(keys: np.ndarray) -> Crowds:
    """The crowd of every row that shares a bucket with another."""
    place = np.full(len(keys), -1, dtype=np.int64)
    buckets = list(_buckets(keys))
    for rows, _ in buckets:
        place[rows] = 0
    crowded = np.flatnonzero(place == 0)
    place[crowded] = np.arange(len(crowded))
    members = np.full((len(crowded), CROWD), -1, dtype=np.int32)
    sizes = np.zeros(len(crowded), dtype=np.int64)
    for rows, bucket in buckets:
        for distance in DISTANCES:
            near = np.flatnonzero(bucket[distance:] == bucket[:-distance])
            one, other = rows[near], rows[near + distance]
            _add(members, sizes, place[one], other)
            _add(members, sizes, place[other], one)
    return Crowds(crowded, members)


def _add(members: np.ndarray, sizes: np.ndarray, at: np.ndarray, new: np.ndarray) -> None:
    """Put a new member into each of some crowds where there is room and it is not in yet."""
    has_room = sizes[at] < CROWD
    at, new = at[has_room], new[has_room]
    is_new = (members[at] != new[:, None]).all(axis=1)
    at, new = at[is_new], new[is_new]
    members[at, sizes[at]] = new
    sizes[at] += 1


def _buckets(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each band the rows of all buckets, one bucket after another, and their keys."""
    count = keys.shape[1]
    for band in range(count):
        rows = _crowded(keys[:, band])
        ordering = [keys[rows, (band + at) % count] for at in reversed(range(min(NUM_KEYS, count)))]
        rows = rows[np.lexsort(ordering)]  # stable: equal keys leave rows in the order of their ids
        yield rows, keys[rows, band]


def _crowded(keys: np.ndarray) -> np.ndarray:
    """Rows that share their key with another."""
    coded = np.sort(keys.astype(np.uint64) << np.uint64(32) | np.arange(len(keys), dtype=np.uint64))
    order, ordered = (coded & np.uint64(0xFFFFFFFF)).astype(np.int64), coded >> np.uint64(32)
    same = ordered[1:] == ordered[:-1]
    shares = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    return np.sort(order[shares[: len(keys)]])
