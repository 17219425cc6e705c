"""Rows of a Ray dataset in a given order, the same whoever made them and however many.

A small dataset is ordered in the driver: Ray's shuffle takes ten seconds to begin with on two
cores, an Arrow sort a few milliseconds. A large one never is in one process's memory.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import ray

from loray.data.batch import Stage

if TYPE_CHECKING:
    from ray.data.dataset import MaterializedDataset

LOCAL_BYTES = 256 << 20
"""Up to this size a dataset is small."""
SLICE_ROWS = 4096


def all_batches(rows: "MaterializedDataset[pa.Table]", prepare: Stage) -> Iterator[pa.Table]:
    """Every batch, put through `prepare`, in no certain order."""
    if is_small(rows):
        for ref in rows.to_arrow_refs():
            yield prepare(ray.get(ref))
    else:
        prepared = rows.map_batches(
            prepare, batch_format="pyarrow", batch_size=None, zero_copy_batch=True
        )
        yield from prepared.iter_batches(batch_format="pyarrow", batch_size=None)


def in_order(rows: "MaterializedDataset[pa.Table]", prepare: Stage, key: str) -> Iterator[pa.Table]:
    """Every batch, put through `prepare`, with the rows of all in the order of `key`."""
    if is_small(rows):
        ordered = pa.concat_tables(all_batches(rows, prepare)).sort_by(key)
        for at in range(0, ordered.num_rows, SLICE_ROWS):
            yield ordered.slice(at, SLICE_ROWS)
    else:
        prepared = rows.map_batches(
            prepare, batch_format="pyarrow", batch_size=None, zero_copy_batch=True
        )
        yield from prepared.sort(key).iter_batches(batch_format="pyarrow", batch_size=None)


def is_small(rows: "MaterializedDataset[pa.Table]") -> bool:
    """Whether all rows fit well into the driver's memory."""
    return (rows.size_bytes() or 0) <= LOCAL_BYTES


def in_groups(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The rows of `tables` in tables of exactly `size` rows, but for the last."""
    pending: list[pa.Table] = []
    num_pending = 0
    for table in tables:
        pending.append(table)
        num_pending += table.num_rows
        if num_pending < size:
            continue
        merged = pa.concat_tables(pending)
        whole = num_pending - num_pending % size
        for at in range(0, whole, size):
            yield merged.slice(at, size).combine_chunks()
        pending = [merged.slice(whole)]
        num_pending -= whole
    if num_pending:
        yield pa.concat_tables(pending).combine_chunks()
