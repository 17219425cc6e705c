"""Records of a Parquet file: the columns that a spec names, by row group, values unchanged."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from loray.data.sources.records import FaultError
from loray.errors import SourceError

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile

BATCH_ROWS = 1024


def row_groups(file: "SourceFile") -> list[int]:
    """Row groups of the file that hold rows, once its columns are known to fit the spec.

    Raises:
        SourceError: it is no Parquet file, or a column is missing or not of text.
    """
    try:
        with file.filesystem().open_input_file(file.path) as stream:
            parquet = pq.ParquetFile(stream)
            _check_columns(file, parquet.schema_arrow)
            sizes = (
                parquet.metadata.row_group(at).num_rows for at in range(parquet.num_row_groups)
            )
            return [at for at, size in enumerate(sizes) if size > 0]
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{file.key} at {file.path} is no readable Parquet file: {error}; write it again, or "
            "use kind: jsonl for JSON Lines"
        ) from error


def read_records(
    file: "SourceFile", groups: range
) -> Iterator[tuple[int, dict[str, Any] | FaultError]]:
    """The row number in the file, from 0, and the record; a fault where text is no UTF-8."""
    columns = _columns(file)
    with file.filesystem().open_input_file(file.path) as stream:
        parquet = pq.ParquetFile(stream)
        position = sum(parquet.metadata.row_group(at).num_rows for at in range(groups.start))
        for batch in parquet.iter_batches(BATCH_ROWS, row_groups=list(groups), columns=columns):
            for record in _records(batch):
                yield position, record
                position += 1


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | FaultError]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        yield from (_record(batch, at) for at in range(batch.num_rows))


def _record(batch: pa.RecordBatch, at: int) -> dict[str, Any] | FaultError:
    try:
        return {name: batch[name][at].as_py() for name in batch.schema.names}
    except UnicodeDecodeError:
        return FaultError("invalid_utf8")


def _columns(file: "SourceFile") -> list[str]:
    fields = file.source.fields
    named = (fields.prompt, fields.completion, fields.messages, fields.text, fields.group)
    return sorted({name for name in named if name is not None})


def _check_columns(file: "SourceFile", schema: pa.Schema) -> None:
    fields = file.source.fields
    for name in _columns(file):
        if name not in schema.names:
            raise SourceError(
                f"{file.key} has no column {name!r}, only {schema.names}; correct "
                f"data.{file.label}.fields"
            )
        kind = schema.field(name).type
        wanted = "a list of structs" if name == fields.messages else "text"
        is_right = _is_messages(kind) if name == fields.messages else _is_text(kind)
        if name == fields.group:
            wanted, is_right = "text or whole numbers", _is_text(kind) or pa.types.is_integer(kind)
        if not is_right:
            raise SourceError(
                f"{file.key}: column {name!r} is of type {kind}; wanted {wanted}; cast it when "
                f"writing the file, or name another column in data.{file.label}.fields"
            )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_messages(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_struct(kind.value_type))
