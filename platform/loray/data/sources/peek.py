"""A look at the first rows of each source on local disk, before anything starts; no Ray.

What all rows of a source would be rejected for is a fault of the spec, and found here. A row among
sound ones is none: curation puts it aside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from loray.data.sources import delimited, parquet, plain_text
from loray.data.sources.decoding import FaultError, parse_line
from loray.data.sources.documents import DamagedError, read_elements
from loray.data.sources.files import SourceFile, find_local_files, left_out
from loray.data.sources.forms import HEAD_BYTES, form_of
from loray.data.sources.jsonl import damaged
from loray.data.sources.lines import line_fault, read_lines
from loray.data.sources.records import Found, group_of, turns_of
from loray.data.sources.rows import Unread
from loray.data.sources.streams import is_compressed, open_arrow_file, read_chunks
from loray.errors import SourceError
from loray.spec.base import Finding
from loray.spec.data import DataSpec
from loray.spec.sources import CsvSource, JsonlSource, ParquetSource, TextSource

NUM_FILES, NUM_ROWS = 8, 20
"""Files of a source that are looked at, and rows at each place of a file."""
MAX_GROUP_BYTES = 64 << 20
"""A larger row group of a Parquet file is not read for a look."""


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

    unread: Unread
    num_rows: int = 0
    faults: list[str] = field(default_factory=list)


def look_into(data: DataSpec) -> Looked:
    """A look at every source of `data` on local disk, evaluation items too."""
    looked = Looked(notes=left_out(data))
    by_label: dict[str, list[SourceFile]] = {}
    for file in find_local_files(data):
        by_label.setdefault(file.label, []).append(file)
    for label, files in by_label.items():
        filled = [file for file in files if file.size]
        if not filled:
            names = ", ".join(file.path for file in files[:NUM_FILES])
            message = f"found only empty files: {names}; wanted rows; write them again"
            looked.findings.append(Finding(f"data.{label}", message))
        _look_at(label, filled, looked)
    return looked


def first_records(file: SourceFile) -> Iterator[Found]:
    """Some of the rows of a file on local disk, from its beginning and its middle.

    Raises:
        SourceError: it is not what the source says, or a column is missing.
        OSError: it cannot be read.
    """
    match file.source:
        case ParquetSource():
            yield from _of_parquet(file)
        case CsvSource() as source:
            form_of(file)
            delimited.spans(file, source)
            yield from islice(delimited.read_records(file, source), NUM_ROWS)
        case TextSource() as source:
            form_of(file)
            yield from islice(plain_text.read_records(file, source, 0, file.size), 1)
        case JsonlSource():
            yield from first_json_records(file)


def _look_at(label: str, files: Sequence[SourceFile], looked: Looked) -> None:
    if not files:
        return
    seen = _Seen(Unread(files[0].source.fields))
    for file in files[:: max(-(-len(files) // NUM_FILES), 1)]:
        try:
            if isinstance(file.source, ParquetSource):
                seen.unread.see(parquet.column_names(file))
            for found in first_records(file):
                _judge(file, found, seen)
        except SourceError as error:
            looked.findings.append(Finding(f"data.{label}", str(error)))
            return
        except (OSError, pa.ArrowException) as error:
            looked.findings.append(Finding(f"data.{label}", str(file.unreadable(error))))
            return
    _sum_up(label, seen, looked)


def _sum_up(label: str, seen: _Seen, looked: Looked) -> None:
    if seen.num_rows and len(seen.faults) == seen.num_rows:
        looked.findings.append(
            Finding(
                f"data.{label}",
                f"found no row that can be read among {seen.num_rows} that were looked at; the "
                f"first is {seen.faults[0]}; correct `fields` or `kind`, or mend the file",
            )
        )
    elif seen.faults:
        looked.notes.append(
            f"{label}: {len(seen.faults)} of {seen.num_rows} rows that were looked at would be put "
            f"aside; the first is {seen.faults[0]}"
        )
    if seen.unread.names:
        looked.notes.append(f"{label}: columns that are not read: {', '.join(seen.unread.names)}")


def _judge(file: SourceFile, found: Found, seen: _Seen) -> None:
    seen.num_rows += 1
    fields = file.source.fields
    try:
        if isinstance(found.record, FaultError):
            raise found.record
        if not isinstance(file.source, TextSource):
            seen.unread.see(found.record)
        turns_of(found.record, fields)
        group_of(found.record, fields)
    except FaultError as fault:
        seen.faults.append(f"{file.key}:{found.number}: {fault}: {fault.note}")


def first_json_records(file: SourceFile) -> Iterator[Found]:
    """The same of a file of JSON, whatever its fields.

    Raises:
        SourceError: it is no JSON in UTF-8.
        OSError: it cannot be read.
    """
    if form_of(file) == "document":
        elements = islice(read_elements(read_chunks(file, 0, HEAD_BYTES)), NUM_ROWS)
        try:
            for element in elements:
                fault = element.fault and FaultError(element.fault, element.note)
                yield _parsed(element.number, element.data, fault or None)
        except DamagedError as error:
            raise damaged(file, error) from error
        return
    yield from _of_lines(file, 0)
    middle = file.size // 2
    if not is_compressed(file.path) and middle > HEAD_BYTES:
        yield from _of_lines(file, middle)


def _of_lines(file: SourceFile, start: int) -> Iterator[Found]:
    """Rows from a place on; their numbers count from there, as nobody counted those before."""
    found = islice(read_lines(file, start, start + HEAD_BYTES), NUM_ROWS)
    for number, line in enumerate(found, start=1):
        if line.fault is not None or line.data.strip():
            fault = None if line.fault is None else line_fault(line.fault)
            yield _parsed(number if start == 0 else 0, line.data, fault)


def _parsed(number: int, data: bytes, fault: FaultError | None) -> Found:
    try:
        return Found(number, 0, fault or parse_line(data), data)
    except FaultError as error:
        return Found(number, 0, error, data)


def _of_parquet(file: SourceFile) -> Iterator[Found]:
    groups = parquet.spans(file)
    with open_arrow_file(file) as stream:
        opened = pq.ParquetFile(stream)
        if not groups or opened.metadata.row_group(groups[0][0]).total_byte_size > MAX_GROUP_BYTES:
            return
        batches = opened.iter_batches(NUM_ROWS, row_groups=[groups[0][0]], columns=file.columns)
        for batch in islice(batches, 1):
            yield from parquet.records_of(batch)
