"""The id of a row: 64 bits, written as 16 hex digits; and how numbers are mixed.

It comes of the file's key, the row's place in the file and a digest of its texts. Two rows of a
file whose texts are equal never share one; any two others do once in 2^64. The digest is XXH3,
which is ten times as fast as SHA-256 and keeps out accidents, not forgers.
"""

import numpy as np
import pyarrow as pa
import xxhash

HEX_DIGITS = 16


def digest_of(texts: bytes) -> bytes:
    """Eight bytes for a row's texts, whatever their roles: rows of equal texts are one group."""
    return xxhash.xxh3_64_digest(texts)


def row_ids(key: str, positions: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """The ids of rows of the file `key`, as numbers; `digests` are numbers too."""
    seed = np.frombuffer(digest_of(key.encode()), ">u8").astype(np.uint64)
    return scramble(digests ^ scramble(seed + positions.astype(np.uint64)))


def as_hex(numbers: np.ndarray) -> pa.StringArray:
    """Numbers of 64 bits as 16 hex digits each."""
    digits = numbers.astype(">u8").tobytes().hex().encode()
    offsets = np.arange(0, len(digits) + 1, HEX_DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits))


def row_numbers(ids: pa.ChunkedArray) -> np.ndarray:
    """Ids, 16 hex digits each, as 64-bit numbers; none of them null."""
    digits = b"".join(map(_joined, ids.chunks))
    return np.frombuffer(bytes.fromhex(digits.decode()), dtype=">u8").astype(np.uint64)


def mix(values: np.ndarray, seed: int) -> np.ndarray:
    """A seeded scramble of 64-bit numbers, one to one. Source: splitmix64, Steele et al. 2014."""
    with np.errstate(over="ignore"):
        return scramble(
            values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed + 1)
        )


def scramble(values: np.ndarray) -> np.ndarray:
    """64-bit numbers mixed well, one to one. Source: splitmix64, Steele et al. 2014."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _joined(texts: pa.StringArray) -> bytes:
    """All texts, one after another."""
    if not len(texts):
        return b""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[texts.offset :][: len(texts) + 1]
    found: bytes = data[bounds[0] : bounds[-1]].to_pybytes()
    return found
