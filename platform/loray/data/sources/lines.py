"""Lines of a text file by their byte offset; of a file or a part of one, never all in memory.

A part of a file, bytes `start` to `end`, owns the lines that start in it. So the parts of a file
hold each of its lines once, wherever they are cut.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from loray.data.sources.streams import TornError, is_compressed, read_chunks

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile

MAX_LINE_BYTES = 32 << 20
"""A longer line is cut here and marked; nothing of it beyond is read into memory."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line without its newline."""

    offset: int
    """Where it starts, in bytes; in a compressed file, of the text."""
    data: bytes
    fault: str | None
    """`line_too_long`, `torn_stream`, or None."""


def read_lines(file: "SourceFile", start: int, end: int) -> Iterator[Line]:
    """The lines that start between bytes `start` and `end`; all, if the file is compressed.

    A byte order mark at the beginning is no part of the first line.
    """
    if is_compressed(file.path):
        yield from map(_unmarked, split_lines(read_chunks(file), 0))
        return
    before = max(start - 1, 0)
    lines = split_lines(read_chunks(file, before), before)
    if start > 0:
        next(lines, None)  # it starts before this part, and ends the part before
    for line in lines:
        if line.offset >= end:
            return
        yield _unmarked(line)


def line_spans(file: "SourceFile", size: int) -> list[tuple[int, int]]:
    """A file cut into parts of about `size` bytes; one part if it is compressed."""
    if is_compressed(file.path):
        return [(0, file.size)]
    return [(at, min(at + size, file.size)) for at in range(0, file.size, size)]


def split_lines(chunks: Iterable[bytes], offset: int) -> Iterator[Line]:
    """Lines of a byte stream; a line that the stream tears off is marked."""
    held = _Unfinished(offset)
    fault = None
    try:
        for chunk in chunks:
            *whole, rest = chunk.split(b"\n")
            for data in whole:
                yield from held.end(data)
            yield from held.add(rest)
    except TornError:
        fault = "torn_stream"
    if fault is not None or held.num_bytes:
        yield from held.end(b"", fault)


class _Unfinished:
    """The start of a line whose end has not come yet."""

    def __init__(self, offset: int) -> None:
        self.num_bytes = 0
        self._offset = offset
        self._parts: list[bytes] = []
        self._is_told = False  # it was given out as too long

    def add(self, data: bytes) -> Iterator[Line]:
        """Go on with the line; give it out once it is too long, and keep no more of it."""
        self.num_bytes += len(data)
        if self._is_told:
            return
        self._parts.append(data)
        if self.num_bytes > MAX_LINE_BYTES:
            start = b"".join(self._parts)[:MAX_LINE_BYTES]
            self._is_told, self._parts = True, []
            yield Line(self._offset, start, "line_too_long")

    def end(self, data: bytes, fault: str | None = None) -> Iterator[Line]:
        """End the line with `data`, and begin the next."""
        if not self._is_told or fault is not None:
            yield Line(self._offset, b"".join([*self._parts, data]), fault)
        self._offset += self.num_bytes + len(data) + 1
        self.num_bytes, self._parts, self._is_told = 0, [], False


def _unmarked(line: Line) -> Line:
    if line.offset or not line.data.startswith(BYTE_ORDER_MARK):
        return line
    return line._replace(data=line.data.removeprefix(BYTE_ORDER_MARK))
