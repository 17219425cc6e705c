"""Records of a text file: a file, a paragraph or a line each."""

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from loray.data.sources import lines
from loray.data.sources.decoding import FaultError, utf8_note
from loray.data.sources.lines import Line, line_fault, line_spans, read_lines
from loray.data.sources.records import Found
from loray.data.sources.rows import Tally
from loray.spec.sources import TextSource

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile


class _Piece(NamedTuple):
    """Lines that make one record."""

    number: int
    lines: list[bytes]
    offset: int
    fault: str | None


def spans(file: "SourceFile", source: TextSource, size: int) -> list[tuple[int, int]]:
    """Only single lines can be read from the middle of a file."""
    if source.per == "line":
        return line_spans(file, size)
    return [(0, file.size)] if file.size else []


def read_records(
    file: "SourceFile", source: TextSource, start: int, end: int
) -> Generator[Found, None, Tally]:
    """What a part of the file holds, and in the end its tally."""
    counted = _Counted(read_lines(file, start, end))
    for piece in _pieces(counted, per=source.per):
        data = b"\n".join(piece.lines)
        record = _record(data, file.name, piece.fault)
        yield Found(piece.number, piece.offset, record, data)
    return Tally(counted.number)


def _record(data: bytes, name: str, fault: str | None) -> dict[str, str] | FaultError:
    if fault is not None:
        return line_fault(fault)
    try:
        return {"text": data.decode("utf-8"), "file": name}
    except UnicodeDecodeError as error:
        return FaultError("invalid_utf8", utf8_note(error))


class _Counted:
    """Lines, and the number of those that were given out."""

    def __init__(self, found: Iterable[Line]) -> None:
        self.number = 0
        self._lines = iter(found)

    def __iter__(self) -> Iterator[Line]:
        for line in self._lines:
            self.number += 1
            yield line


def _pieces(found: _Counted, *, per: str) -> Iterator[_Piece]:
    """Lines put together; a piece that grows too long is given out marked, and begun anew."""
    held: list[bytes] = []
    num_bytes = number = offset = 0
    for line in found:
        is_blank = not line.data.strip()
        is_end = per == "line" or (per == "paragraph" and is_blank)
        if not held:
            number, offset, num_bytes = found.number, line.offset, 0
        if not (is_end and is_blank):
            held.append(line.data)
            num_bytes += len(line.data) + 1
        fault = line.fault or ("text_too_long" if num_bytes > lines.MAX_LINE_BYTES + 1 else None)
        if held and (is_end or fault):
            yield _Piece(number, held, offset, fault)
            held = []
    if held:
        yield _Piece(number, held, offset, None)
