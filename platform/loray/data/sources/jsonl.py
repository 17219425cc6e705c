"""Records of a JSON Lines file: a batch of lines at once where all are plain, else each by itself.

pyarrow parses lines several times as fast as Python's `json`, and says of few faults where they
are. So it is asked first, and what it refuses, or might read otherwise than `parse_line` does
(numbers that JSON does not have, two objects on a line, depths at which Python gives up), is
left to `parse_line`, whose word holds.
"""

import re
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from loray.data.sources import rows
from loray.data.sources.columns import CALLING_KEYS, conversations_of
from loray.data.sources.lines import Line, Run, read_runs
from loray.data.sources.decoding import FaultError, parse_line
from loray.data.sources.records import Found
from loray.data.sources.rows import Conversations, Piece, Placed
from loray.spec.fields import OPENAI_KEYS, FieldsSpec

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile

NEWLINE, OPEN, CLOSE, BRACKET = b"\n{}["
NO_NUMBER = re.compile(rb"[:,\[]\s*(?:-NaN|-?Inf(?!inity))")
"""What pyarrow takes for a number and Python does not; in a text it does no harm."""
MAX_BRACKETS = 500
"""Of a line that is parsed by pyarrow; Python's parser gives up at some 900 within one another."""


def read_pieces(file: "SourceFile", start: int, end: int) -> Generator[Piece, None, int]:
    """What the lines of a part hold, and in the end how many lines there are."""
    fields = file.source.fields
    number = 1
    for run in read_runs(file, start, end):
        for part, starts in _batches(run):
            yield _columns(part, starts, number, fields) or _records(part, number)
            number += len(starts)
    return number - 1


def _batches(run: Run) -> Iterator[tuple[Run, np.ndarray]]:
    """A run cut into batches, and at which bytes of a batch its lines start."""
    if run.fault is not None:
        yield run, np.zeros(1, np.int64)
        return
    ends = np.append(np.flatnonzero(_bytes(run.data) == NEWLINE), len(run.data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    at = 0
    while at < len(ends):
        first = starts[at]
        last = min(at + rows.BATCH_ROWS - 1, np.searchsorted(ends, first + rows.BATCH_BYTES))
        last = min(last, len(ends) - 1)
        yield (
            Run(run.offset + int(first), run.data[first : ends[last]], None),
            starts[at : last + 1] - first,
        )
        at = last + 1


def _records(part: Run, number: int) -> list[Found]:
    """Each line by itself; an empty one holds nothing that could be kept."""
    lines = enumerate(part.lines(), start=number)
    return [_record(at, line) for at, line in lines if line.fault or line.data.strip()]


def _record(number: int, line: Line) -> Found:
    if line.fault is not None:
        return Found(number, line.offset, FaultError(line.fault), line.data)
    try:
        return Found(number, line.offset, parse_line(line.data), line.data)
    except FaultError as fault:
        return Found(number, line.offset, fault, line.data)


def _columns(part: Run, starts: np.ndarray, number: int, fields: FieldsSpec) -> Placed | None:
    """All lines at once, if each is an object from its first byte to its last, and plain."""
    data = _bytes(part.data)
    lasts = np.append(starts[1:] - 1, len(data)) - 1
    is_object = part.fault is None and bool((lasts > starts).all())
    if not is_object or not ((data[starts] == OPEN) & (data[lasts] == CLOSE)).all():
        return None
    found = _parsed(part.data, starts, fields)
    if found is None:
        return None
    return Placed(number + np.arange(len(starts)), part.offset + starts, found)


def _parsed(data: bytes, starts: np.ndarray, fields: FieldsSpec) -> Conversations | None:
    """The rows, if pyarrow finds as many objects as there are lines and reads them as we would."""
    if b"\0" in data:  # it ends there
        return None
    named = _schema(fields)
    try:
        data.decode("utf-8")
        known = _texts_of(data.partition(b"\n")[0])
    except (UnicodeDecodeError, FaultError):
        return None
    others = [pa.field(name, pa.string()) for name in known if name not in named.names]
    table = _parse(data, pa.schema([*named, *others]), others="error")
    if table is None and _is_tame(data, starts):
        table = _parse(data, named, others="ignore")
    if table is None or len(table) != len(starts):
        return None
    return conversations_of(table, fields)


def _schema(fields: FieldsSpec) -> pa.Schema:
    """The columns that the spec names; a value of another type is refused."""
    keys = dict.fromkeys((*fields.message_keys, *OPENAI_KEYS, *CALLING_KEYS))
    of_column = {
        fields.messages: pa.list_(pa.struct([(key, pa.string()) for key in keys])),
        fields.history: pa.list_(pa.list_(pa.string())),
    }
    return pa.schema([(name, of_column.get(name, pa.string())) for name in fields.columns])


def _texts_of(line: bytes) -> list[str]:
    """The keys that hold text on the first line: likely those of every line."""
    texts = (name for name, value in parse_line(line).items() if type(value) is str)
    return [name for name in texts if name.encode("utf-8", "ignore").decode("utf-8") == name]


def _parse(data: bytes, schema: pa.Schema, *, others: str) -> pa.Table | None:
    reading = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others)
    try:
        return pj.read_json(pa.BufferReader(data), read_options=reading, parse_options=parsing)
    except pa.ArrowInvalid:
        return None


def _is_tame(data: bytes, starts: np.ndarray) -> bool:
    """Whether values that nobody asked for are such as both parsers would read."""
    if (b"NaN" in data or b"Inf" in data) and NO_NUMBER.search(data):
        return False
    if data.count(b"[") + data.count(b"{") < MAX_BRACKETS:
        return True
    found = _bytes(data)
    opened = np.add.reduceat((found == OPEN) | (found == BRACKET), starts, dtype=np.int64)
    return bool(opened.max() < MAX_BRACKETS)


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
