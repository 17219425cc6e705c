"""A source's files cut into blocks, and a block read into batches of rows.

Blocks decide who reads what, never what a row is: ids and lines are the same however files are cut.
"""

from collections.abc import Generator, Iterable, Iterator

import pyarrow as pa

from loray.data.batch import put_measures, spent
from loray.data.sources import delimited, jsonl, parquet, plain_text
from loray.data.sources.files import SourceFile
from loray.data.sources.lines import line_spans
from loray.data.sources.rows import Block, Piece, in_pieces, table_of, tally_of
from loray.errors import SourceError
from loray.spec.sources import CsvSource, JsonlSource, ParquetSource, TextSource

MIN_BLOCK_BYTES = 256 << 10
MAX_BLOCK_BYTES = 16 << 20
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


def read_block(block: Block) -> Iterator[pa.Table]:
    """The rows of a block, in batches; the last one ends with the block's tally."""
    tables = _tables(block)
    while True:
        seconds: dict[str, float] = {}
        with spent("read", seconds):
            table = next(tables, None)
        if table is None:
            return
        yield put_measures(table, "seconds", seconds)


def _tables(block: Block) -> Iterator[pa.Table]:
    num_lines = 0

    def counted() -> Iterator[Piece]:
        nonlocal num_lines
        num_lines = yield from _pieces(block)

    held: list[pa.Table] = []
    for piece in counted():
        yield from held
        held = [table_of(block, piece)]
    yield pa.concat_tables([*held, tally_of(block, num_lines)])


def _pieces(block: Block) -> Generator[Piece, None, int]:
    file, start, end = block.file, block.start, block.end
    match file.source:
        case ParquetSource():
            return parquet.read_pieces(file, start, end)
        case JsonlSource():
            return jsonl.read_pieces(file, start, end)
        case CsvSource() as source:
            return in_pieces(delimited.read_records(file, source))
        case TextSource() as source:
            return in_pieces(plain_text.read_records(file, source, start, end))
