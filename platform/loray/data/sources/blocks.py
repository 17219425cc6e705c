"""A source's files cut into blocks, and a block read into batches of rows.

Blocks decide who reads what, never what a row is: ids and lines are the same however files are cut.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pyarrow as pa

from loray.data.batch import put_measures, spent
from loray.data.sources import delimited, jsonl, parquet, plain_text
from loray.data.sources.files import SourceFile
from loray.data.sources.forms import form_of
from loray.data.sources.lines import line_spans
from loray.data.sources.rows import Block, Piece, Tally, in_pieces, table_of, tally_of
from loray.errors import SourceError
from loray.spec.sources import CsvSource, JsonlSource, ParquetSource, TextSource

MIN_BLOCK_BYTES = 256 << 10
MAX_BLOCK_BYTES = 16 << 20
THREADS = 16
Span: TypeAlias = tuple[int, int] | tuple[int, int, bool]
"""From where to where, and whether it is one JSON document."""
BLOCKS_WANTED = 8
"""A small corpus is cut in about this many blocks, enough to keep a few workers busy."""


def cut_into_blocks(files: Iterable[SourceFile]) -> list[Block]:
    """Blocks of all files, in their order.

    Raises:
        SourceError: all files are empty, or one cannot be read or does not fit the spec.
    """
    files = list(files)
    total = sum(file.size for file in files)
    size = min(max(total // BLOCKS_WANTED, MIN_BLOCK_BYTES), MAX_BLOCK_BYTES)
    with ThreadPoolExecutor(THREADS) as pool:  # asking a bucket is waiting
        try:
            found = list(pool.map(lambda file: _spans(file, size), files))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    spans = [(file, span) for file, spans in zip(files, found, strict=True) for span in spans]
    if not spans:
        raise SourceError(
            f"data.sources hold no row at all: {', '.join(file.key for file in files)} are empty; "
            "check how they were written"
        )
    return [Block(at, file, *span) for at, (file, span) in enumerate(spans)]


def _spans(file: SourceFile, size: int) -> Sequence[Span]:
    try:
        return _spans_by_kind(file, size)
    except OSError as error:
        raise file.unreadable(error) from error


def _spans_by_kind(file: SourceFile, size: int) -> Sequence[Span]:
    is_empty = file.size == 0
    match file.source:
        case ParquetSource():
            return parquet.spans(file)
        case _ if is_empty:
            return []
        case JsonlSource():
            if form_of(file) == "document":
                return [(0, file.size, True)]
            return line_spans(file, size)
        case CsvSource() as source:
            form_of(file)
            return delimited.spans(file, source)
        case TextSource() as source:
            form_of(file)
            return plain_text.spans(file, source, size)


def read_block(block: Block) -> Iterator[pa.Table]:
    """The rows of a block, in batches; the last one ends with the block's tally.

    Raises:
        SourceError: the file changed since it was found, or while it was read.
        OSError: it can no longer be read.
    """
    tables = _tables(block)
    while True:
        seconds: dict[str, float] = {}
        with spent("read", seconds):
            table = next(tables, None)
        if table is None:
            return
        yield put_measures(table, "seconds", seconds)


def _tables(block: Block) -> Iterator[pa.Table]:
    tally = Tally(0)

    def counted() -> Iterator[Piece]:
        nonlocal tally
        tally = yield from _pieces(block)

    held: list[pa.Table] = []
    before = block.file.stamp
    if before is not None and before[0] != block.file.size:
        raise block.file.changed()
    for piece in counted():
        yield from held
        held = [table_of(block, piece)]
    if block.file.stamp != before:
        raise block.file.changed()
    yield pa.concat_tables([*held, tally_of(block, tally)])


def _pieces(block: Block) -> Generator[Piece, None, Tally]:
    file, start, end = block.file, block.start, block.end
    match file.source:
        case ParquetSource():
            return parquet.read_pieces(file, start, end)
        case JsonlSource() if block.is_document:
            return jsonl.read_document(file)
        case JsonlSource():
            return jsonl.read_pieces(file, start, end)
        case CsvSource() as source:
            return in_pieces(delimited.read_records(file, source))
        case TextSource() as source:
            return in_pieces(plain_text.read_records(file, source, start, end))
