"""Some rows of a file on local disk, from its beginning and its middle, as its reader has them."""

from collections.abc import Iterator
from itertools import islice

import pyarrow.parquet as pq

from loray.data.sources import delimited, parquet, plain_text
from loray.data.sources.decoding import FaultError, parse_line
from loray.data.sources.documents import DamagedError, read_elements
from loray.data.sources.files import SourceFile
from loray.data.sources.forms import HEAD_BYTES, form_of
from loray.data.sources.jsonl import damaged
from loray.data.sources.lines import line_fault, read_lines
from loray.data.sources.records import Found
from loray.data.sources.streams import is_compressed, open_arrow_file, read_chunks
from loray.spec.sources import CsvSource, JsonlSource, ParquetSource, TextSource

NUM_ROWS = 20
"""Rows that are read at each place of a file."""
MAX_GROUP_BYTES = 64 << 20
"""A larger row group of a Parquet file is not read for a look."""


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
