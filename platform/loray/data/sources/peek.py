"""A look at the first rows of each source on local disk, before anything starts; no Ray.

What all rows of a source would be rejected for is a fault of the spec, and found here. A row among
sound ones is none: curation puts it aside.
"""

from collections.abc import ItemsView, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from loray.data.sources import parquet
from loray.data.sources.decoding import FaultError
from loray.data.sources.files import SourceFile, find_local_files, left_out
from loray.data.sources.forms import HEAD_BYTES
from loray.data.sources.records import Found, group_of, turns_of
from loray.data.sources.rows import NOT_READ, NOT_THERE, Columns
from loray.data.sources.samples import first_records
from loray.data.sources.suggest import Part, suggest
from loray.errors import SourceError
from loray.spec.base import Finding
from loray.spec.data import DataSpec
from loray.spec.fields import FieldsSpec
from loray.spec.sources import ParquetSource, Source, TextSource

NUM_FILES = 8
"""Files of a source that are looked at."""


@dataclass
class Looked:
    """What a look at all sources found."""

    findings: list[Finding] = field(default_factory=list)
    """Why a source cannot be read as the spec says."""
    notes: list[str] = field(default_factory=list)
    """What is left out or put aside; a sentence each."""


@dataclass
class _Seen:
    """What the rows of one source are, as far as they were looked at."""

    columns: Columns
    num_rows: int = 0
    faults: list[str] = field(default_factory=list)


def look_into(data: DataSpec) -> Looked:
    """A look at every source of `data` on local disk, evaluation items too."""
    looked = Looked(notes=left_out(data))
    by_label: dict[str, list[SourceFile]] = {}
    for file in find_local_files(data):
        by_label.setdefault(file.label, []).append(file)
    empty = [label for label, files in by_label.items() if _is_empty(label, files, looked)]
    tasks = [f"sources.{at}" for at in range(len(data.sources))]
    some_have_rows = not set(tasks) <= set(empty)
    for label in empty:
        names = ", ".join(file.path for file in by_label[label][:NUM_FILES])
        message = f"found no row at all in {names}; wanted some; check how they were written"
        if label in tasks and some_have_rows:
            looked.notes.append(f"{label}: {message}")
        else:
            looked.findings.append(Finding(f"data.{label}", message))
    return looked


def _is_empty(label: str, files: Sequence[SourceFile], looked: Looked) -> bool:
    """Look at a source; whether it holds nothing, as far as a look can tell."""
    seen = _Seen(Columns(files[0].source.fields))
    for file in files[:: max(-(-len(files) // NUM_FILES), 1)]:
        try:
            if file.size:
                _look_at(file, seen)
        except SourceError as error:
            looked.findings.append(Finding(f"data.{label}", str(error)))
            return False
        except (OSError, pa.ArrowException) as error:
            looked.findings.append(Finding(f"data.{label}", str(file.unreadable(error))))
            return False
    _sum_up(label, seen, looked, files[0].source)
    return not seen.num_rows and all(file.size < HEAD_BYTES for file in files)


def _look_at(file: SourceFile, seen: _Seen) -> None:
    if isinstance(file.source, ParquetSource):
        seen.columns.see(parquet.column_names(file))
    for found in first_records(file):
        _judge(file, found, seen)


def _sum_up(label: str, seen: _Seen, looked: Looked, source: Source) -> None:
    if seen.num_rows and len(seen.faults) == seen.num_rows:
        looked.findings.append(
            Finding(
                f"data.{label}",
                f"found no row that can be read among {seen.num_rows} that were looked at; the "
                f"first is {seen.faults[0]}; {_remedy(source)}",
            )
        )
    elif seen.faults:
        looked.notes.append(
            f"{label}: {len(seen.faults)} of {seen.num_rows} rows that were looked at would be put "
            f"aside; the first is {seen.faults[0]}"
        )
    if seen.columns.unread:
        looked.notes.append(f"{label}: {NOT_READ}{', '.join(seen.columns.unread)}")
    has_columns = not isinstance(source, TextSource)
    if has_columns and seen.columns.absent and len(seen.faults) < seen.num_rows:
        looked.notes.append(f"{label}: {NOT_THERE}{', '.join(seen.columns.absent)}")


def _remedy(source: Source) -> str:
    """What to do where no row is such as the spec says."""
    found: list[Part] = []
    with suppress(SourceError, OSError, pa.ArrowException):
        found = suggest(source.uri)
    readings = [part.readings for part in found if part.kind == source.kind]
    best = readings[0].best if len(readings) == 1 else None
    if best is None or best.fields.items() <= _named(source.fields):
        return "correct `fields` or `kind`, or mend the file"
    return f"by its columns, the file seems to have fields: {readings[0].written}; correct `fields`"


def _named(fields: FieldsSpec) -> ItemsView[str, Any]:
    return fields.model_dump(mode="json", exclude_none=True).items()


def _judge(file: SourceFile, found: Found, seen: _Seen) -> None:
    seen.num_rows += 1
    fields = file.source.fields
    try:
        if isinstance(found.record, FaultError):
            raise found.record
        if not isinstance(file.source, TextSource):
            seen.columns.see(found.record)
        turns_of(found.record, fields)
        group_of(found.record, fields)
    except FaultError as fault:
        place = found.number or "in its middle"
        seen.faults.append(f"{file.key}:{place}: {fault}: {fault.note}")
