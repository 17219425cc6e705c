"""A source's files cut into blocks, and a block read into batches of rows.

Blocks decide who reads what, never what a row is: ids and lines are the same however files are cut.
"""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loray.data.batch import ROWS, put_measures, spent
from loray.data.sources import delimited, jsonl, parquet, plain_text
from loray.data.sources.files import SourceFile
from loray.data.sources.lines import line_spans
from loray.data.sources.records import FaultError, Found, group_of, turns_of
from loray.errors import SourceError
from loray.spec.sources import CsvSource, FieldsSpec, JsonlSource, ParquetSource, TextSource

MIN_BLOCK_BYTES = 256 << 10
MAX_BLOCK_BYTES = 16 << 20
BLOCKS_WANTED = 8
"""A small corpus is cut in about this many blocks, enough to keep a few workers busy."""
BATCH_ROWS = 1024
BATCH_CHARS = 4 << 20
"""A batch ends at this many rows or characters, so that long texts do not make it large."""
RAW_CHARS = 1 << 16
"""Longest raw text that is kept of a row that could not be read."""


@dataclass(frozen=True)
class Block:
    """A part of a file: bytes `start` to `end`, or row groups of a Parquet file."""

    number: int
    file: SourceFile
    start: int
    end: int


def cut_into_blocks(files: Iterable[SourceFile]) -> list[Block]:
    """Blocks of all files, in their order.

    Raises:
        SourceError: all files are empty, or one cannot be read or does not fit the spec.
    """
    files = list(files)
    total = sum(file.size for file in files)
    size = min(max(total // BLOCKS_WANTED, MIN_BLOCK_BYTES), MAX_BLOCK_BYTES)
    spans = [(file, span) for file in files for span in _spans(file, size)]
    if not spans:
        raise SourceError(
            f"data.sources hold no row at all: {', '.join(file.key for file in files)} are empty; "
            "check how they were written"
        )
    return [Block(at, file, start, end) for at, (file, (start, end)) in enumerate(spans)]


def _spans(file: SourceFile, size: int) -> list[tuple[int, int]]:
    try:
        return _spans_by_kind(file, size)
    except OSError as error:
        raise file.unreadable(error) from error


def _spans_by_kind(file: SourceFile, size: int) -> list[tuple[int, int]]:
    match file.source:
        case ParquetSource():
            return parquet.spans(file)
        case JsonlSource():
            return line_spans(file, size)
        case CsvSource() as source:
            return delimited.spans(file, source)
        case TextSource() as source:
            return plain_text.spans(file, source, size)


def _records(block: Block) -> Generator[Found, None, int]:
    file, start, end = block.file, block.start, block.end
    match file.source:
        case ParquetSource():
            return parquet.read_records(file, start, end)
        case JsonlSource():
            return jsonl.read_records(file, start, end)
        case CsvSource() as source:
            return delimited.read_records(file, source)
        case TextSource() as source:
            return plain_text.read_records(file, source, start, end)


def read_block(block: Block) -> Iterator[pa.Table]:
    """The rows of a block, in batches; the last one ends with the block's tally."""
    records = _rows(block)
    while True:
        seconds: dict[str, float] = {}
        rows: list[dict[str, Any]] = []
        num_chars = 0
        with spent("read", seconds):
            for row in records:
                rows.append(row)
                num_chars += sum(len(turn["content"]) for turn in row.get("turns") or ())
                if row["id"] is None or len(rows) == BATCH_ROWS or num_chars >= BATCH_CHARS:
                    break
            table = pa.Table.from_pylist(rows, ROWS)
        yield put_measures(table, "seconds", seconds)
        if rows[-1]["id"] is None:
            return


def _rows(block: Block) -> Iterator[dict[str, Any]]:
    """A row for each record, and the tally."""
    fields = block.file.source.fields
    num_lines = 0

    def counted() -> Iterator[Found]:
        nonlocal num_lines
        num_lines = yield from _records(block)

    for found in counted():
        row = _Row(block, found.number, found.position)
        try:
            if isinstance(found.record, FaultError):
                raise found.record
            yield row.kept(found.record, fields)
        except FaultError as fault:
            yield row.rejected(str(fault), found.raw)
    yield {"id": None, "line": num_lines, "block": block.number}


@dataclass(frozen=True)
class _Row:
    """A row's place, and how it becomes a row of the batch."""

    block: Block
    line: int
    position: int
    """In the file, whatever its blocks: bytes, or rows of a Parquet file."""

    def kept(self, record: Mapping[str, Any], fields: FieldsSpec) -> dict[str, Any]:
        turns = turns_of(record, fields)
        content = json.dumps(turns).encode()
        group = group_of(record, fields) or hashlib.sha256(content).hexdigest()[:16]
        return self._row(content) | {"turns": turns, "group": group, "changed_by": []}

    def rejected(self, reason: str, data: bytes) -> dict[str, Any]:
        raw = data[: 4 * RAW_CHARS].decode("utf-8", "backslashreplace")[:RAW_CHARS]
        return self._row(data) | {"rejected_by": reason, "raw": raw, "changed_by": []}

    def _row(self, content: bytes) -> dict[str, Any]:
        file = self.block.file
        seed = b"\0".join([file.key.encode(), str(self.position).encode(), content])
        return {
            "id": hashlib.sha256(seed).hexdigest()[:16],
            "source": file.key,
            "line": self.line,
            "block": self.block.number,
            "suite": file.suite,
        }
