"""Records of a JSON Lines file: a batch of lines at once where all are plain, else each by itself.

pyarrow parses lines several times as fast as Python's `json`, and says of few faults where they
are. So it is asked first, and what it refuses, or might read otherwise than `parse_line` does
(numbers that JSON does not have, two objects on a line, depths at which Python gives up), is
left to `parse_line`, whose word holds.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from loray.data.sources import rows
from loray.data.sources.columns import EMPTY_KEYS, conversations_of
from loray.data.sources.decoding import FaultError, parse_line
from loray.data.sources.documents import DamagedError, Element, read_elements
from loray.data.sources.lines import Run, line_fault, read_runs
from loray.data.sources.records import Found
from loray.data.sources.rows import Conversations, Piece, Placed, Tally, Unread
from loray.data.sources.streams import read_chunks
from loray.errors import SourceError
from loray.spec.fields import OPENAI_KEYS, FieldsSpec

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile

NEWLINE, OPEN, CLOSE, BRACKET = b"\n{}["
NO_NUMBER = re.compile(rb"[:,\[]\s*(?:-NaN|-?Inf(?!inity))")
"""What pyarrow takes for a number and Python does not; in a text it does no harm."""
SEEN_LINES = 16
"""Of a batch, whose columns are looked at one by one."""
MAX_BRACKETS = 500
"""Of a line that is parsed by pyarrow; Python's parser gives up at some 900 within one another."""


def read_pieces(file: "SourceFile", start: int, end: int) -> Generator[Piece, None, Tally]:
    """What the lines of a part hold, and in the end its tally."""
    fields = file.source.fields
    unread = Unread(fields)
    number = 1
    for run in read_runs(file, start, end):
        for part, starts in _batches(run):
            yield _columns(part, starts, number, fields, unread) or _records(part, number, unread)
            number += len(starts)
    return Tally(number - 1, unread.names)


def read_document(file: "SourceFile") -> Generator[Piece, None, Tally]:
    """What the elements of an array hold, or values that go on over lines, and the tally.

    Raises:
        SourceError: an array is damaged, and nothing tells where its next element begins.
    """
    fields = file.source.fields
    unread = Unread(fields)
    elements = read_elements(read_chunks(file))
    held: list[Element] = []
    num_bytes = 0
    while True:
        try:
            element = next(elements)
        except StopIteration as end:
            if held:
                yield _piece_of(held, fields, unread)
            return Tally(end.value, unread.names)
        except DamagedError as error:
            raise damaged(file, error) from error
        held.append(element)
        num_bytes += len(element.data)
        if len(held) == rows.BATCH_ROWS or num_bytes >= rows.BATCH_BYTES or element.fault:
            yield _piece_of(held, fields, unread)
            held, num_bytes = [], 0


def damaged(file: "SourceFile", error: DamagedError) -> SourceError:
    """What to raise of a file whose JSON cannot be told apart any more."""
    return SourceError(
        f"{file.key} at {file.path}: its JSON is damaged at {error}; what follows cannot be told "
        "apart; mend it, or write one object a line"
    )


def _piece_of(elements: list[Element], fields: FieldsSpec, unread: Unread) -> Piece:
    """Elements put on lines, which white space in JSON allows, and read as those are."""
    if all(e.fault is None and e.data[:1] == b"{" for e in elements):
        data = [e.data.replace(b"\n", b" ") for e in elements]
        starts = np.concatenate([[0], np.cumsum([len(line) + 1 for line in data[:-1]])])
        found = _parsed(b"\n".join(data), starts.astype(np.int64), fields, unread)
        if found is not None:
            numbers, offsets = ([getattr(e, n) for e in elements] for n in ("number", "offset"))
            return Placed(np.array(numbers), np.array(offsets), found)
    return [
        _found(e.number, e.offset, e.data, e.fault and FaultError(e.fault, e.note), unread)
        for e in elements
    ]


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


def _records(part: Run, number: int, unread: Unread) -> list[Found]:
    """Each line by itself; an empty one holds nothing that could be kept."""
    return [
        _found(at, line.offset, line.data, line.fault and line_fault(line.fault), unread)
        for at, line in enumerate(part.lines(), start=number)
        if line.fault or line.data.strip()
    ]


def _found(
    number: int, offset: int, data: bytes, fault: FaultError | Literal[""] | None, unread: Unread
) -> Found:
    if fault:
        return Found(number, offset, fault, data)
    try:
        record = parse_line(data)
    except FaultError as error:
        return Found(number, offset, error, data)
    unread.see(record)
    return Found(number, offset, record, data)


def _columns(
    part: Run, starts: np.ndarray, number: int, fields: FieldsSpec, unread: Unread
) -> Placed | None:
    """All lines at once, if each is an object from its first byte to its last, and plain."""
    data = _bytes(part.data)
    lasts = np.append(starts[1:] - 1, len(data)) - 1
    is_object = part.fault is None and bool((lasts > starts).all())
    if not is_object or not ((data[starts] == OPEN) & (data[lasts] == CLOSE)).all():
        return None
    found = _parsed(part.data, starts, fields, unread)
    if found is None:
        return None
    return Placed(number + np.arange(len(starts)), part.offset + starts, found)


def _parsed(
    data: bytes, starts: np.ndarray, fields: FieldsSpec, unread: Unread
) -> Conversations | None:
    """The rows, if pyarrow finds as many objects as there are lines and reads them as we would."""
    if b"\0" in data:  # it ends there
        return None
    named = _schema(fields)
    try:
        data.decode("utf-8")
        first = parse_line(data.partition(b"\n")[0])
    except (UnicodeDecodeError, FaultError):
        return None
    unread.see(first)
    others = [pa.field(name, pa.string()) for name in _texts_of(first) if name not in named.names]
    table = _parse(data, pa.schema([*named, *others]), others="error")
    if table is None and _is_tame(data, starts):
        # Keys of messages that nobody asked for have to be seen.
        others_are = "ignore" if fields.messages is None else "infer"
        table = _parse(data, named, others=others_are)
        _see_some(data, starts, unread)
    if table is None or len(table) != len(starts):
        return None
    return conversations_of(table, fields)


def _see_some(data: bytes, starts: np.ndarray, unread: Unread) -> None:
    """Note the columns of some lines, where parsing leaves out what nobody asked for."""
    for at in starts[:: max(len(starts) // SEEN_LINES, 1)].tolist():
        end = data.find(b"\n", at)
        with suppress(FaultError):
            unread.see(parse_line(data[at : end if end >= 0 else len(data)]))


def _schema(fields: FieldsSpec) -> pa.Schema:
    """The columns that the spec names; a value of another type is refused."""
    keys = dict.fromkeys((*fields.message_keys, *OPENAI_KEYS, *EMPTY_KEYS))
    of_column = {
        fields.messages: pa.list_(pa.struct([(key, pa.string()) for key in keys])),
        fields.history: pa.list_(pa.list_(pa.string())),
    }
    return pa.schema([(name, of_column.get(name, pa.string())) for name in fields.columns])


def _texts_of(first: Mapping[str, Any]) -> list[str]:
    """The keys that hold text on the first line: likely those of every line."""
    texts = (name for name, value in first.items() if type(value) is str)
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
