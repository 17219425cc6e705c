"""Rows that curation holds, put through a stage and brought in order, the same whoever made them.

Rows are held in blocks in Ray's object store, which spills to disk. Nobody takes more of them into
memory at once than `RANGE_BYTES` or so. To order them, each task cuts a group of blocks into
ranges of the key, and another joins the pieces of one range and sorts it. Where there are more than
`FANOUT` ranges, rows are cut into coarse ranges first and each of those into finer ones, so the
number of pieces grows with the rows, not with their square.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import ray

from loray.data.batch import Stage

if TYPE_CHECKING:
    from ray.data.dataset import MaterializedDataset

    Ref: TypeAlias = ray.ObjectRef[pa.Table]

RANGE_BYTES = 64 << 20
"""About as much as one task takes in."""
FANOUT = 64
"""Most pieces that a task cuts rows into."""
AHEAD = 4
"""Tasks whose results may lie ready before they are asked for."""
SLICE_ROWS = 4096


def put_through(rows: "MaterializedDataset[pa.Table]", prepare: Stage) -> list["Ref"]:
    """Every row, put through `prepare`, some blocks in one table."""
    stage = ray.put(prepare)
    return [_join.remote(stage, *group) for group in _groups(rows)]


def in_order(
    rows: "MaterializedDataset[pa.Table]",
    prepare: Stage,
    key: str,
    count: int,
    finish: Stage | None = None,
) -> Iterator[pa.Table]:
    """Every row, put through `prepare`, with the rows of all in the order of `key`.

    Args:
        key: a column that `prepare` leaves, of whole numbers from 0 to `count` - 1, each about as
            frequent as any other.
        finish: takes all rows of some keys, in order; what it gives is yielded in their stead.
    """
    groups = _groups(rows)
    num_ranges = max(1, min(len(groups), count))
    cuts = np.arange(1, num_ranges) * count // num_ranges
    stages = ray.put(prepare), ray.put(finish or _same)
    for table in _results(_ranges(groups, cuts, *stages, key)):
        for at in range(0, table.num_rows, SLICE_ROWS):
            yield table.slice(at, SLICE_ROWS)


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


def _groups(rows: "MaterializedDataset[pa.Table]") -> list[Sequence["Ref"]]:
    """The blocks of `rows`, in groups that make up about `RANGE_BYTES`, or a single larger one."""
    groups: list[list[Ref]] = []
    room = 0
    for bundle in rows.iter_internal_ref_bundles():
        for ref, about in zip(bundle.block_refs, bundle.metadata, strict=True):
            size = about.size_bytes or 0
            if not groups or size > room:
                groups.append([])
                room = RANGE_BYTES
            groups[-1].append(ref)
            room -= size
    return list(groups)


def _in_runs(refs: Sequence["Ref"], size: int) -> list[Sequence["Ref"]]:
    return [refs[at : at + size] for at in range(0, len(refs), size)]


def _ranges(
    groups: list[Sequence["Ref"]],
    cuts: np.ndarray,
    prepare: "ray.ObjectRef[Stage]",
    finish: "ray.ObjectRef[Stage]",
    key: str,
) -> Iterator["Ref"]:
    """Tasks that give one range each, in order, started as they are asked for.

    Args:
        cuts: the keys that ranges begin with, but for the first range.
    """
    if not len(cuts):
        if len(groups) > 1:  # what `prepare` leaves is one range, what it takes is not
            groups = [[_join.remote(prepare, *group) for group in groups]]
            prepare = ray.put(_same)
        yield _join_in_order.remote(prepare, finish, key, *groups[0])
        return
    step = ceil((len(cuts) + 1) / FANOUT)
    coarse = cuts[step - 1 :: step]
    cut = _cut.options(num_returns=len(coarse) + 1)
    pieces = [cut.remote(prepare, key, coarse, *group) for group in groups]
    for at in range(len(coarse) + 1):
        of_range = [refs.pop(0) for refs in pieces]  # popped, so that nobody holds them for long
        finer = cuts[at * step : (at + 1) * step - 1]
        yield from _ranges(_in_runs(of_range, FANOUT), finer, ray.put(_same), finish, key)


def _results(tasks: Iterator["Ref"]) -> Iterator[pa.Table]:
    """What tasks give, in their order, with a few of them under way."""
    waiting: deque[Ref] = deque()
    for task in tasks:
        waiting.append(task)
        if len(waiting) > AHEAD:
            yield ray.get(waiting.popleft())
    while waiting:
        yield ray.get(waiting.popleft())


def _same(table: pa.Table) -> pa.Table:
    return table


@ray.remote
def _join(prepare: Stage, *blocks: pa.Table) -> pa.Table:
    """The rows of `blocks`, each put through `prepare`."""
    return pa.concat_tables(map(prepare, blocks))


@ray.remote
def _cut(prepare: Stage, key: str, cuts: np.ndarray, *blocks: pa.Table) -> Iterator[pa.Table]:
    """The same by range of the key; each leaves this process before the next is made."""
    table = pa.concat_tables(map(prepare, blocks))
    ranges = np.searchsorted(cuts, table[key].to_numpy(), side="right")
    for number in range(len(cuts) + 1):
        yield table.take(np.flatnonzero(ranges == number))


@ray.remote
def _join_in_order(prepare: Stage, finish: Stage, key: str, *blocks: pa.Table) -> pa.Table:
    """The same in the order of the key."""
    return finish(pa.concat_tables(map(prepare, blocks)).sort_by(key))
