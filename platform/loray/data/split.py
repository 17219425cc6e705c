"""Which split a row belongs to: decided by a hash of its group and the seed, and by nothing else.

So no group is in two splits, adding rows moves no other row, and a group that task and replay
share is held out of both.
"""

import hashlib

import pyarrow as pa

from loray.data.batch import put
from loray.spec.data import SplitSpec

SPLITS = ("train", "validation", "test")


def split_of(group: str, split: SplitSpec, seed: int) -> str:
    """`train`, `validation` or `test`, with the shares of `split` over many groups."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < split.test:
        return "test"
    return "validation" if place < split.test + split.validation else "train"


def add_split(batch: pa.Table, *, split: SplitSpec, seed: int) -> pa.Table:
    """The split of every row that could be read, in the column `split`."""
    splits = [g if g is None else split_of(g, split, seed) for g in batch["group"].to_pylist()]
    return put(batch, "split", pa.array(splits, pa.string()))
