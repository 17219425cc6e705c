"""What readers find to rows of a batch: records one at a time, or turns as whole columns."""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from loray.data.batch import ROWS, TURNS
from loray.data.ids import as_hex, digest_of, row_ids
from loray.data.sources.decoding import FaultError
from loray.data.sources.records import Found, group_of, read_record
from loray.spec.fields import FieldsSpec

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile
    from loray.models.markup import Turn

BATCH_ROWS = 1024
BATCH_BYTES = 4 << 20
"""A batch ends at this many rows or bytes, so that long texts do not make it large."""
NOT_READ = "columns that are not read: "
NOT_THERE = "columns that fields names and that no row seems to have: "
MAX_UNREAD, MAX_NAME_CHARS = 64, 64
WRAPPED = "tools_wrapped"
"""In `changed_by`: definitions of tools were put into the form that clients send."""
RAW_CHARS = 1 << 16
"""Longest raw text that is kept of a row that could not be read."""


@dataclass(frozen=True)
class Block:
    """A part of a file: bytes `start` to `end`, or row groups of a Parquet file."""

    number: int
    file: "SourceFile"
    start: int
    end: int
    is_document: bool = False
    """Whether JSON is read as one document, not by lines."""


class Tally(NamedTuple):
    """What a block held, apart from its rows."""

    num_lines: int
    unread: Sequence[str] = ()
    """Columns that were there and that no field of the spec names."""
    absent: Sequence[str] = ()
    """Columns that a field names and no row had."""


class Columns:
    """Gathers which columns are there: those that fields name, and those that none does."""

    def __init__(self, fields: FieldsSpec) -> None:
        self._read = frozenset(fields.columns)
        self._absent = set(self._read)
        self._names: set[str] = set()

    def see(self, names: Collection[str]) -> None:
        """Note the columns of a record or a table."""
        if self._absent:
            self._absent.difference_update(names)
        if len(self._names) < MAX_UNREAD:
            self._names.update(names)

    @property
    def unread(self) -> list[str]:
        """Those that no field names, sorted; of very many, some."""
        unread = sorted(self._names - self._read)[:MAX_UNREAD]
        return [name[:MAX_NAME_CHARS].encode("utf-8", "replace").decode() for name in unread]

    @property
    def absent(self) -> list[str]:
        """Those that a field names and that were not there, sorted."""
        return sorted(self._absent)

    def tally(self, num_lines: int) -> Tally:
        """What a block held."""
        return Tally(num_lines, self.unread, self.absent)


class Conversations(NamedTuple):
    """Turns of rows that all are sound."""

    turns: pa.ListArray
    groups: pa.StringArray | None
    """None where the spec names no column of groups."""


class Placed(NamedTuple):
    """Sound rows and where each stands; as `Found` says it of one."""

    numbers: np.ndarray
    positions: np.ndarray
    rows: Conversations


Piece = list[Found] | Placed
"""What makes one batch."""


def in_pieces(records: Generator[Found, None, Tally]) -> Generator[Piece, None, Tally]:
    """Records that were read one at a time, in batches; returns what `records` does."""
    held: list[Found] = []
    num_bytes = 0
    while True:
        try:
            found = next(records)
        except StopIteration as end:
            if held:
                yield held
            tally: Tally = end.value
            return tally
        held.append(found)
        num_bytes += len(found.raw)
        if len(held) == BATCH_ROWS or num_bytes >= BATCH_BYTES:
            yield held
            held, num_bytes = [], 0


def table_of(block: Block, piece: Piece) -> pa.Table:
    """The rows of a piece."""
    return _of_columns(block, piece) if isinstance(piece, Placed) else _of_records(block, piece)


def tally_of(block: Block, tally: Tally) -> pa.Table:
    """The row that says what a block holds."""
    found = {"unread": tally.unread, "absent": tally.absent}
    row = {"id": None, "line": tally.num_lines, "block": block.number, **found}
    return pa.Table.from_pylist([row], ROWS)


def _of_columns(block: Block, piece: Placed) -> pa.Table:
    turns, groups = piece.rows
    texts = turns.values.field("content").cast(pa.binary()).to_pylist()
    if len(texts) > len(turns):
        bounds = pairwise(turns.offsets.to_pylist())
        texts = [b"\0".join(texts[start:end]) for start, end in bounds]
    found = {"turns": turns} | ({} if groups is None else {"group": groups})
    digests = list(map(digest_of, texts))
    return _table(block, piece.numbers, piece.positions, digests, found)


def _of_records(block: Block, found: list[Found]) -> pa.Table:
    judged = [_judged(one, block.file.source.fields) for one in found]
    return _table(
        block,
        np.array([one.number for one in found]),
        np.array([one.position for one in found]),
        [one.digest for one in judged],
        {
            "turns": pa.array([one.turns for one in judged], TURNS),
            "group": pa.array([one.group for one in judged], pa.string()),
            "changed_by": pa.array(
                [[WRAPPED] if one.is_wrapped else [] for one in judged], pa.list_(pa.string())
            ),
            "rejected_by": pa.array([one.reason for one in judged], pa.string()),
            "note": pa.array([one.note for one in judged], pa.string()),
            "raw": pa.array([one.raw for one in judged], pa.string()),
        },
    )


class _Judged(NamedTuple):
    """A record as a row: with turns, or with a reason."""

    digest: bytes
    turns: "list[Turn] | None" = None
    group: str | None = None
    reason: str | None = None
    note: str | None = None
    raw: str | None = None
    is_wrapped: bool = False


def _judged(found: Found, fields: FieldsSpec) -> _Judged:
    try:
        if isinstance(found.record, FaultError):
            raise found.record
        (turns, is_wrapped), group = (
            read_record(found.record, fields),
            group_of(found.record, fields),
        )
    except FaultError as fault:
        raw = found.raw[: 4 * RAW_CHARS].decode("utf-8", "backslashreplace")[:RAW_CHARS]
        note = fault.note and fault.note.encode("utf-8", "backslashreplace").decode()
        return _Judged(digest_of(found.raw), reason=str(fault), note=note, raw=raw)
    digest = digest_of(b"\0".join(turn["content"].encode() for turn in turns))
    return _Judged(digest, turns, group or digest.hex(), is_wrapped=is_wrapped)


def _table(
    block: Block,
    numbers: np.ndarray,
    positions: np.ndarray,
    digests: list[bytes],
    found: Mapping[str, pa.Array],
) -> pa.Table:
    """Rows as `loray.data.batch` lays them out; columns that are not given are null."""
    count = len(digests)
    words = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
    no_names = pa.array([], pa.string())
    columns = {
        "id": as_hex(row_ids(block.file.key, positions, words)),
        "source": pa.repeat(block.file.key, count),
        "line": pa.array(numbers, pa.int64()),
        "block": pa.repeat(pa.scalar(block.number, pa.int32()), count),
        "group": as_hex(words),
        "suite": pa.repeat(block.file.suite, count),
        "changed_by": pa.ListArray.from_arrays(np.zeros(count + 1, np.int32), no_names),
        **found,
    }
    return pa.table(
        [columns.get(field.name, pa.nulls(count, field.type)) for field in ROWS], schema=ROWS
    )
