"""MinHash signatures of rows, and the band keys by which near duplicates find each other.

Two sets agree in each place of their signatures with the probability of their Jaccard similarity.
A band is a run of places; rows that agree in one band are candidates for being near duplicates.
Candidates are verified (`loray.data.steps.near_duplicates`), so bands are chosen to miss nothing
rather than to propose little.

Source: Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", section 3.4.
"""

from math import ceil, log, log1p
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from loray.data.batch import is_in, put
from loray.data.ids import scramble
from loray.data.steps.shingles import Shingles, shingle
from loray.data.steps.words import runs_of

NUM_HASHES = 160
USUAL_HASHES = 80
FEWEST_ROWS = 3
"""Places of a band below which rows of little likeness would share one."""
RECALL = 0.998
"""Share of pairs with a similarity of just the threshold that become candidates, at least."""
SLICE_SHINGLES = 1 << 15
"""Shingles hashed in one go; two arrays of 128 KiB, which stay in the processor's cache."""


class Bands(NamedTuple):
    """How a signature is cut."""

    num_bands: int
    num_rows: int
    """Places of the signature in one band."""

    @property
    def num_hashes(self) -> int:
        """The length of the signature."""
        return self.num_bands * self.num_rows


def bands_for(threshold: float) -> Bands:
    """The longest bands, and as many as it takes to reach `RECALL` at `threshold`.

    Signatures get `USUAL_HASHES` places at most, or `NUM_HASHES` where bands would have fewer than
    `FEWEST_ROWS`. At 0.5 they are 40 bands of 3 places, at 0.8 14 of 5, at 1.0 one of 80. A row's
    keys take 4 bytes a band: 160 at most for a threshold from 0.5.
    """
    for num_rows in range(USUAL_HASHES, 0, -1):
        limit = USUAL_HASHES if num_rows > FEWEST_ROWS else NUM_HASHES
        bands = Bands(_bands_needed(threshold**num_rows), num_rows)
        if bands.num_hashes <= limit:
            return bands
    return Bands(NUM_HASHES, 1)


def _bands_needed(agreement: float) -> int:
    """How many bands, if rows at the threshold agree in one with this probability."""
    return 1 if agreement >= RECALL else ceil(log(1 - RECALL) / log1p(-agreement))


def band_column(number: int) -> str:
    """The column in which the near-duplicates step at place `number` leaves its band keys."""
    return f"bands_{number}"


def put_bands(batch: pa.Table, *, column: str, bands: Bands) -> pa.Table:
    """Band keys of each row in `column`; null where a row is out, or has no word to go by.

    They are taken without the row's context: rows that share only that are no candidates.
    """
    alive = is_in(batch)
    turns = batch["turns"].combine_chunks().filter(pa.array(alive))
    shingles = shingle(turns).outside_context()
    keys = band_keys(signatures(shingles, bands.num_hashes), bands)
    has_keys = alive.copy()
    has_keys[alive] = np.diff(shingles.starts) > 0
    filled = np.zeros((len(alive), bands.num_bands), dtype="<u4")
    filled[has_keys] = keys[np.diff(shingles.starts) > 0]
    kind = pa.binary(4 * bands.num_bands)
    valid = pa.array(has_keys).buffers()[1]
    array = pa.Array.from_buffers(kind, len(alive), [valid, pa.py_buffer(filled.tobytes())])
    return put(batch, column, array)


def signatures(shingles: Shingles, num_hashes: int = NUM_HASHES) -> np.ndarray:
    """MinHash of each row, (rows, num_hashes), uint32; all ones for a row without shingles."""
    counts = np.diff(shingles.starts)
    filled = np.flatnonzero(counts)
    found = np.full((num_hashes, len(counts)), 0xFFFFFFFF, dtype=np.uint32)
    values = (shingles.hashes >> np.uint64(32)).astype(np.uint32)
    for a, b in runs_of(counts[filled], SLICE_SHINGLES):
        rows = filled[a:b]
        start, end = shingles.starts[rows[0]], shingles.starts[rows[-1] + 1]
        found[:, rows] = _minima(values[start:end], shingles.starts[rows] - start, num_hashes)
    return found.T


def band_keys(signature: np.ndarray, bands: Bands) -> np.ndarray:
    """A 32-bit key for each band, (rows, bands)."""
    used = signature[:, : bands.num_hashes].astype(np.uint64)
    places = used.reshape(len(used), bands.num_bands, bands.num_rows)
    keys = np.zeros(places.shape[:2], dtype=np.uint64)
    for place in range(bands.num_rows):
        keys = scramble(keys + places[:, :, place] + np.uint64(0x9E3779B97F4A7C15))
    return (keys >> np.uint64(32)).astype("<u4")


def _minima(values: np.ndarray, starts: np.ndarray, num_hashes: int) -> np.ndarray:
    """The least value of each row under each permutation, (num_hashes, rows).

    A permutation is `a x + b` modulo 2^32 with an odd factor of full range. Small factors would
    not wrap: all permutations would then order the values nearly alike, and the estimate of a
    similarity would be off by a quarter.
    """
    found = np.empty((num_hashes, len(starts)), dtype=np.uint32)
    permuted = np.empty_like(values)
    constants = zip(FACTORS[:num_hashes], TERMS[:num_hashes], strict=True)
    for number, (factor, term) in enumerate(constants):
        np.multiply(values, factor, out=permuted)
        np.add(permuted, term, out=permuted)
        np.minimum.reduceat(permuted, starts, out=found[number])
    return found


def _constants() -> tuple[np.ndarray, np.ndarray]:
    numbers = np.arange(1, 2 * NUM_HASHES + 1, dtype=np.uint64)
    drawn = scramble(numbers * np.uint64(0x9E3779B97F4A7C15))
    high = (drawn >> np.uint64(32)).astype(np.uint32)
    return high[:NUM_HASHES] | np.uint32(1), high[NUM_HASHES:]


FACTORS, TERMS = _constants()
"""Fixed for ever, so that a corpus gives the same bytes on every machine."""
