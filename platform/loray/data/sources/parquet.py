"""Records of a Parquet file: the columns that a spec names, by row group, values unchanged."""

from collections.abc import Generator, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loray.data.sources.columns import conversations_of
from loray.data.sources.decoding import FaultError, utf8_note
from loray.data.sources.forms import format_of, read_head
from loray.data.sources.messages import without_padding
from loray.data.sources.records import Found
from loray.data.sources.rows import (
    BATCH_BYTES,
    BATCH_ROWS,
    Columns,
    Piece,
    Placed,
    Tally,
    in_pieces,
)
from loray.data.sources.streams import TimedFile, open_arrow_file
from loray.errors import SourceError
from loray.spec.fields import FieldsSpec

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile


def column_names(file: "SourceFile") -> list[str]:
    """The columns of the file, of whatever type; none of one that is no Parquet file.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with open_arrow_file(file) as stream:
            names: list[str] = pq.read_schema(stream).names
    except pa.ArrowInvalid:
        return []
    return names


def spans(file: "SourceFile") -> list[tuple[int, int]]:
    """Row groups of the file that hold rows, once its columns are known to fit the spec.

    Raises:
        SourceError: it is no Parquet file, or a column is missing or not of text.
        OSError: the file cannot be read.
    """
    opened = TimedFile(file)
    try:
        with pa.PythonFile(opened, mode="r") as stream:
            parquet = pq.ParquetFile(stream)
            _check_columns(file, parquet.schema_arrow)
            sizes = (
                parquet.metadata.row_group(at).num_rows for at in range(parquet.num_row_groups)
            )
            return [(at, at + 1) for at, num_rows in enumerate(sizes) if num_rows > 0]
    except (pa.ArrowInvalid, OSError) as error:
        if opened.fault is not None:
            raise opened.fault from error
        raise unreadable(file, error) from error


def unreadable(file: "SourceFile", error: Exception) -> SourceError:
    """What to raise of a file that is not Parquet, or damaged."""
    what, remedy = format_of(read_head(file)) or ("", "write it again")
    found = f"found {what}" if what else str(error)
    return SourceError(
        f"{file.key} at {file.path} is no readable Parquet file: {found}; {remedy}, or use "
        "kind: jsonl for JSON Lines"
    )


def read_pieces(file: "SourceFile", start: int, end: int) -> Generator[Piece, None, Tally]:
    """What row groups `start` to `end` hold, and in the end their tally."""
    number = 0
    with open_arrow_file(file) as stream:
        parquet = pq.ParquetFile(stream)
        before = sum(parquet.metadata.row_group(at).num_rows for at in range(start))
        groups = list(range(start, end))
        batches = parquet.iter_batches(BATCH_ROWS, row_groups=groups, columns=file.columns)
        for batch in chain.from_iterable(map(_bounded, batches)):
            found = conversations_of(pa.table(batch), file.source.fields)
            at = number + np.arange(len(batch))
            if found is not None:
                yield Placed(at + 1, at + before, found)
            else:
                yield from _in_pieces(batch, number, before)
            number += len(batch)
        columns = Columns(file.source.fields)
        columns.see(parquet.schema_arrow.names)
    return columns.tally(number)


def _bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch cut in halves until none is too large; a row is never cut."""
    if batch.nbytes <= BATCH_BYTES or len(batch) <= 1:
        yield batch
        return
    half = len(batch) // 2
    yield from _bounded(batch.slice(0, half))
    yield from _bounded(batch.slice(half))


def _in_pieces(batch: pa.RecordBatch, number: int, before: int) -> Iterator[Piece]:
    """Each record by itself."""

    def records() -> Generator[Found, None, Tally]:
        yield from records_of(batch, number, before)
        return Tally(number)

    yield from in_pieces(records())


def records_of(batch: pa.RecordBatch, number: int = 0, before: int = 0) -> Iterator[Found]:
    """Each record of a batch.

    Args:
        number: of the rows before it in the part that is read.
        before: rows before that part in the file.
    """
    for at, record in enumerate(_records(batch), start=number):
        yield Found(at + 1, before + at, record, repr(record).encode("utf-8", "backslashreplace"))


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | FaultError]:
    try:
        yield from map(without_padding, batch.to_pylist())
    except UnicodeDecodeError:
        yield from (_record(batch, at) for at in range(batch.num_rows))


def _record(batch: pa.RecordBatch, at: int) -> dict[str, Any] | FaultError:
    try:
        return {name: without_padding(batch[name][at].as_py()) for name in batch.schema.names}
    except UnicodeDecodeError as error:
        return FaultError("invalid_utf8", utf8_note(error))


def _check_columns(file: "SourceFile", schema: pa.Schema) -> None:
    fields = file.source.fields
    for name in file.columns:
        if name not in schema.names:
            raise SourceError(
                f"{file.key} has no column {name!r}, only {schema.names}; correct "
                f"data.{file.label}.fields"
            )
        kind = schema.field(name).type
        wanted, is_right = _fits(name, kind, fields)
        if not is_right:
            raise SourceError(
                f"{file.key}: column {name!r} is of type {kind}; wanted {wanted}; cast it when "
                f"writing the file, or name another column in data.{file.label}.fields"
            )


def _fits(name: str, kind: pa.DataType, fields: FieldsSpec) -> tuple[str, bool]:
    """What a column's type should be, and whether it is."""
    if name in (fields.messages, fields.tools):
        in_turn = fields.format == "alternating" and _is_list(kind) and _is_text(kind.value_type)
        is_right = _is_messages(kind) or _is_text(kind) or in_turn
        return "a list of structs, or its JSON text", is_right
    if name == fields.history:
        return "a list of lists of text", _is_list(kind) or pa.types.is_null(kind)
    if name in (fields.prompt, fields.completion):
        return "text, or a list of structs", _is_text(kind) or _is_messages(kind)
    if name == fields.group and name not in fields.texts:
        return "text or whole numbers", _is_text(kind) or pa.types.is_integer(kind)
    if name == fields.system:
        return "text", _is_text(kind) or _is_messages(kind) or pa.types.is_null(kind)
    is_optional = name in fields.optional and pa.types.is_null(kind)
    return "text", _is_text(kind) or is_optional


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_messages(kind: pa.DataType) -> bool:
    return _is_list(kind) and bool(pa.types.is_struct(kind.value_type))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
