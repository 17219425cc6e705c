"""A source's files cut into blocks, and a block read into batches of rows.

Blocks decide who reads what, never what a row is: ids and lines are the same however files are cut.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loray.data.batch import ROWS, put_times, spent
from loray.data.sources.files import SourceFile
from loray.data.sources.lines import read_lines
from loray.data.sources.parquet import read_records, row_groups
from loray.data.sources.records import FaultError, group_of, parse_line, turns_of
from loray.errors import SourceError
from loray.spec.data import FieldsSpec, JsonlSource, ParquetSource

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
        SourceError: all files are empty, or a Parquet file is damaged or does not fit the spec.
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
    match file.source:
        case ParquetSource():
            return [(at, at + 1) for at in row_groups(file)]
        case JsonlSource():
            if file.path.endswith(".gz"):
                return [(0, file.size)]
            return [(at, min(at + size, file.size)) for at in range(0, file.size, size)]


def read_block(block: Block) -> Iterator[pa.Table]:
    """The rows of a block, in batches; the last one ends with the block's tally."""
    records = _read_parquet(block) if block.file.source.kind == "parquet" else _read_jsonl(block)
    while True:
        times: list[dict[str, str | float]] = []
        rows: list[dict[str, Any]] = []
        num_chars = 0
        with spent("read", times):
            for row in records:
                rows.append(row)
                num_chars += sum(len(turn["content"]) for turn in row.get("turns") or ())
                if row["id"] is None or len(rows) == BATCH_ROWS or num_chars >= BATCH_CHARS:
                    break
            table = pa.Table.from_pylist(rows, ROWS)
        yield put_times(table, times)
        if rows[-1]["id"] is None:
            return


def _read_jsonl(block: Block) -> Iterator[dict[str, Any]]:
    file, fields = block.file, block.file.source.fields
    number = 0
    for line in read_lines(file.filesystem(), file.path, block.start, block.end):
        number += 1
        data = line.data
        if line.offset == 0:
            data = data.removeprefix(b"\xef\xbb\xbf")
        if line.fault is None and not data.strip():
            continue  # an empty line holds nothing that could be kept
        row = _Row(block, number, line.offset)
        if line.fault is not None:
            yield row.rejected(line.fault, data)
            continue
        try:
            record = parse_line(data)
            yield row.kept(record, fields)
        except FaultError as fault:
            yield row.rejected(str(fault), data)
    yield _tally(block, number)


def _read_parquet(block: Block) -> Iterator[dict[str, Any]]:
    file, fields = block.file, block.file.source.fields
    number = 0
    for position, record in read_records(file, range(block.start, block.end)):
        number += 1
        row = _Row(block, number, position)
        try:
            if isinstance(record, FaultError):
                raise record
            yield row.kept(record, fields)
        except FaultError as fault:
            yield row.rejected(str(fault), repr(record).encode())
    yield _tally(block, number)


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


def _tally(block: Block, num_lines: int) -> dict[str, Any]:
    return {"id": None, "line": num_lines, "block": block.number}
