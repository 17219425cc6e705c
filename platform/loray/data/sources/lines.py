"""Lines of a text file by their byte offset; of a file or a part of one, never all in memory.

A part of a file, bytes `start` to `end`, owns the lines that start in it. So the parts of a file
hold each of its lines once, wherever they are cut.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

CHUNK_BYTES = 4 << 20
MAX_LINE_BYTES = 32 << 20
"""A longer line is cut here and marked; nothing of it beyond is read into memory."""
GZIP = 31
"""`wbits` of zlib for a gzip stream, header and checksum included."""


class Line(NamedTuple):
    """One line without its newline."""

    offset: int
    """Where it starts, in bytes; in a compressed file, of the text."""
    data: bytes
    fault: str | None
    """`line_too_long`, `torn_gzip`, or None."""


class TornError(Exception):
    """A compressed stream ends early or is damaged; raised here, answered with a marked line."""


def read_lines(filesystem: "FileSystem", path: str, start: int, end: int) -> Iterator[Line]:
    """The lines that start between bytes `start` and `end` of a file.

    A path that ends in `.gz` is decompressed; its part must be the whole file.
    """
    if path.endswith(".gz"):
        with filesystem.open_input_stream(path, compression=None) as stream:
            yield from split_lines(gunzip(_chunks(stream)), 0)
        return
    with filesystem.open_input_file(path) as stream:
        before = max(start - 1, 0)
        stream.seek(before)
        lines = split_lines(_chunks(stream), before)
        if start > 0:
            next(lines, None)  # it starts before this part, and ends the part before
        for line in lines:
            if line.offset >= end:
                return
            yield line


def split_lines(chunks: Iterable[bytes], offset: int) -> Iterator[Line]:
    """Lines of a byte stream; a line that the stream tears off is marked."""
    pending = b""
    is_cut = False  # the start of the pending line was given out as too long
    fault = None
    try:
        for chunk in chunks:
            *whole, pending = (pending + chunk).split(b"\n")
            for data in whole:
                if not is_cut:
                    yield Line(offset, data, None)
                is_cut = False
                offset += len(data) + 1
            if len(pending) > MAX_LINE_BYTES:
                if not is_cut:
                    yield Line(offset, pending[:MAX_LINE_BYTES], "line_too_long")
                is_cut = True
                offset += len(pending)
                pending = b""
    except TornError:
        fault = "torn_gzip"
    if fault or (pending and not is_cut):
        yield Line(offset, pending, fault)


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress one or several gzip members, a bounded piece at a time.

    Raises:
        TornError: the stream ends within a member, or a checksum is wrong.
    """
    member = zlib.decompressobj(GZIP)
    is_empty = True
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                rest = rest.lstrip(b"\0")  # padding between members, as tar writes it
                if not rest:
                    break
                member = zlib.decompressobj(GZIP)
            try:
                piece = member.decompress(rest, CHUNK_BYTES)
            except zlib.error as error:
                raise TornError from error
            is_empty = False
            rest = member.unused_data if member.eof else member.unconsumed_tail
            yield piece
    if is_empty or not member.eof:
        raise TornError


def _chunks(stream: Iterable[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):  # type: ignore[attr-defined]
        yield chunk
