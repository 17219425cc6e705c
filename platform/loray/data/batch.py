"""The Arrow batches that flow through curation, and the two marks a step may set.

Columns, one row for each row of the corpus:

    id: string             16 hex digits; null on a tally row
    source: string         key of the file
    line: int64            1-based; while rows flow, counted from the start of their block
    block: int32           number of the block, which gives the line its base
    group: string          rows of one group share a split
    suite: string          `task` or `replay`
    turns: list<struct<role, content>>      null when the row could not be read
    changed_by: list<string>                steps that changed the turns
    rejected_by: string    reason; null while the row is still in
    note: string           what a rejection rests on, where there is more to say
    raw: string            the line as it came, where turns could not be read
    seconds: list<struct<name, value>>      time spent on the batch, on its first row
    found: list<struct<name, value>>        values replaced in the batch, on its first row
    unread: list<string>   on a tally row: columns of the block that no field of the spec names
    absent: list<string>   on a tally row: columns that a field names and no row of the block has
    size: int64            of a row rejected for its size, as the step counts it; other rows: null

A step marks, it never drops: row count and order hold, so every rejection can be counted.
Each block ends with one tally row, whose `line` is the number of lines that the block holds.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import compress, pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.models.tool_use import JSON_ROLES

Stage: TypeAlias = Callable[[pa.Table], pa.Table]

TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
TURNS = pa.list_(TURN)
MEASURES = pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))
ROWS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),
        ("block", pa.int32()),
        ("group", pa.string()),
        ("suite", pa.string()),
        ("turns", TURNS),
        ("changed_by", pa.list_(pa.string())),
        ("rejected_by", pa.string()),
        ("note", pa.string()),
        ("raw", pa.string()),
        ("seconds", MEASURES),
        ("found", MEASURES),
        ("unread", pa.list_(pa.string())),
        ("absent", pa.list_(pa.string())),
        ("size", pa.int64()),
    ]
)


def put(batch: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """`batch` with the column `name` replaced, or added at the end."""
    at = batch.schema.get_field_index(name)
    if at < 0:
        return batch.append_column(name, values)
    return batch.set_column(at, batch.schema.field(at), values)


def reject(
    batch: pa.Table,
    reasons: Sequence[str | None],
    notes: Sequence[str | None] | None = None,
    sizes: Sequence[int | None] | None = None,
) -> pa.Table:
    """Write the reasons, notes to them and sizes; the first to reject a row keeps the credit."""
    if not any(reasons):
        return batch
    found = pa.array(reasons, pa.string())
    is_new = pc.and_(pc.is_null(batch["rejected_by"]), pc.is_valid(found))
    said = {"note": pa.array(notes or [], pa.string()), "size": pa.array(sizes or [], pa.int64())}
    for name, values in said.items():
        if len(values):
            new = pc.if_else(is_new, values, pa.scalar(None, values.type))
            batch = put(batch, name, pc.coalesce(new, batch[name]))
    return put(batch, "rejected_by", pc.coalesce(batch["rejected_by"], found))


def note_change(batch: pa.Table, name: str, is_changed: Sequence[bool]) -> pa.Table:
    """Put `name` at the end of `changed_by` of the rows that are changed."""
    if not any(is_changed):
        return batch
    rows = zip(batch["changed_by"].to_pylist(), is_changed, strict=True)
    noted = [[*names, name] if hit else names for names, hit in rows]
    return put(batch, "changed_by", pa.array(noted, pa.list_(pa.string())))


def is_in(batch: pa.Table) -> np.ndarray:
    """Which rows no step has rejected yet."""
    alive = pc.and_(pc.is_null(batch["rejected_by"]), pc.is_valid(batch["id"]))
    return np.asarray(alive, dtype=bool)


def change_texts(
    batch: pa.Table,
    name: str,
    change: Callable[[list[str]], list[str]],
    *,
    verbatim: Set[str] = JSON_ROLES,
) -> pa.Table:
    """Put every turn's content through `change` and note who changed what.

    Args:
        verbatim: roles whose turns stay as they are.
    """
    turns = batch["turns"].combine_chunks()
    flat = turns.flatten()
    before = flat.field("content").to_pylist()
    is_open = [role not in verbatim for role in flat.field("role").to_pylist()]
    changed = iter(change(list(compress(before, is_open))))
    after = [next(changed) if free else text for text, free in zip(before, is_open, strict=True)]
    differs = np.fromiter(map(_differ, before, after), dtype=bool, count=len(before))
    if not differs.any():
        return batch
    content = pa.array(after, pa.string())
    rebuilt = pa.StructArray.from_arrays([flat.field("role"), content], fields=list(TURN))
    offsets = offsets_of(turns)
    mask = pa.compute.is_null(turns)
    batch = put(batch, "turns", pa.ListArray.from_arrays(offsets, rebuilt, TURNS, mask=mask))
    counts = np.concatenate([[0], np.cumsum(differs)])
    return note_change(batch, name, (counts[offsets[1:]] > counts[offsets[:-1]]).tolist())


def turn_lists(turns: pa.ChunkedArray) -> list[list[dict[str, str]] | None]:
    """A column of turns as `to_pylist` gives it, in a fraction of the time."""
    column = turns.combine_chunks()
    flat = column.flatten()
    texts = zip(flat.field("role").to_pylist(), flat.field("content").to_pylist(), strict=True)
    every = [{"role": role, "content": content} for role, content in texts]
    bounds = pairwise(offsets_of(column).tolist())
    rows = zip(bounds, column.is_valid().to_pylist(), strict=True)
    return [every[start:end] if is_valid else None for (start, end), is_valid in rows]


@contextmanager
def spent(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Add the seconds that the body takes to those under `name`."""
    began = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began


def put_measures(batch: pa.Table, column: str, measures: Mapping[str, float]) -> pa.Table:
    """Note `measures` on the first row, after those that are there."""
    if batch.num_rows == 0 or not measures:
        return batch
    noted = [{"name": name, "value": value} for name, value in measures.items()]
    first = [[*(batch[column][0].as_py() or []), *noted]]
    rest = batch[column].slice(1).combine_chunks()
    return put(batch, column, pa.chunked_array([pa.array(first, MEASURES), rest], MEASURES))


def _differ(before: str, after: str) -> bool:
    return before is not after and before != after


def offsets_of(lists: pa.ListArray) -> np.ndarray:
    """Offsets into `lists.flatten()`, which leaves out what null lists hide."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
