"""Which pairs of rows are worth comparing, by their band keys: never more than a row can bear.

Rows with the same key in one band are a bucket. A bucket of up to `WINDOW + 1` rows gives all its
pairs. In a larger one every row is paired with the `WINDOW` rows before it only, in the order of
the keys of the next bands, so that rows which agree in more bands stand side by side. So there are
at most `bands x WINDOW` pairs a row, whatever the corpus.
"""

from collections.abc import Iterator

import numpy as np

WINDOW = 8
NUM_KEYS = 3
"""Keys that a bucket is ordered by, its own among them."""


def neighbours(keys: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """Pairs (n, 2) of rows of `keys` (rows, bands), at most `window` apart in one bucket.

    The smaller row comes first; a pair comes once for each band in which it is found.
    """
    count = keys.shape[1]
    for band in range(count):
        rows = _crowded(keys[:, band])
        ordering = [keys[rows, (band + at) % count] for at in reversed(range(min(NUM_KEYS, count)))]
        rows = rows[np.lexsort(ordering)]  # stable: equal keys leave rows in the order of their ids
        bucket = keys[rows, band]
        for distance in range(1, window + 1):
            near = np.flatnonzero(bucket[distance:] == bucket[:-distance])
            if not len(near):
                break
            yield np.sort(np.stack([rows[near], rows[near + distance]], axis=1), axis=1)


def _crowded(keys: np.ndarray) -> np.ndarray:
    """Rows that share their key with another."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    shares = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    return np.sort(order[shares[: len(keys)]])
