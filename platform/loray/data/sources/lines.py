"""Lines of a text file by their byte offset; of a file or a part of one, never all in memory.

A part of a file, bytes `start` to `end`, owns the lines that start in it. So the parts of a file
hold each of its lines once, wherever they are cut.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from loray.data.sources.decoding import BYTE_ORDER_MARK, FaultError
from loray.data.sources.streams import TornError, is_compressed, read_chunks

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile

MAX_LINE_BYTES = 32 << 20
"""A longer line is cut here and marked; nothing of it beyond is read into memory."""


class Line(NamedTuple):
    """One line without its newline."""

    offset: int
    """Where it starts, in bytes; in a compressed file, of the text."""
    data: bytes
    fault: str | None
    """`line_too_long`, `torn_stream`, or None."""


class Run(NamedTuple):
    """Lines that follow on one another, without the last newline; one line where it has a fault."""

    offset: int
    """Where the first starts."""
    data: bytes
    fault: str | None

    def lines(self) -> Iterator[Line]:
        """Each line of the run."""
        if self.fault is not None:
            yield Line(*self)
            return
        offset = self.offset
        for data in self.data.split(b"\n"):
            yield Line(offset, data, None)
            offset += len(data) + 1


def line_fault(fault: str) -> FaultError:
    """A fault of a line as that of its record."""
    notes = {
        "line_too_long": f"a line of more than {MAX_LINE_BYTES >> 20} MB; wanted a shorter one",
        "text_too_long": f"a text of more than {MAX_LINE_BYTES >> 20} MB; wanted a shorter one",
        "torn_stream": "the compressed stream ends early, is damaged, or is followed by what is "
        "none; what could not be decompressed is not read; fetch or compress the file again",
    }
    return FaultError(fault, notes[fault])


def read_lines(file: "SourceFile", start: int, end: int) -> Iterator[Line]:
    """The lines that start between bytes `start` and `end`; all, if the file is compressed."""
    for run in read_runs(file, start, end):
        yield from run.lines()


def read_runs(file: "SourceFile", start: int, end: int) -> Iterator[Run]:
    """The same lines, as many together as are read at once.

    A byte order mark at the beginning is no part of the first line.
    """
    if is_compressed(file.path):
        yield from map(_unmarked, split_runs(read_chunks(file), 0))
        return
    before = max(start - 1, 0)
    runs = split_runs(read_chunks(file, before, end), before)
    if start > 0:
        runs = _without_first_line(runs)  # it starts before this part, and ends the part before
    for run in runs:
        if run.offset >= end:
            return
        yield _unmarked(_until(run, end))


def line_spans(file: "SourceFile", size: int) -> list[tuple[int, int]]:
    """A file cut into parts of about `size` bytes; one part if it is compressed."""
    if is_compressed(file.path):
        return [(0, file.size)]
    return [(at, min(at + size, file.size)) for at in range(0, file.size, size)]


def split_runs(chunks: Iterable[bytes], offset: int) -> Iterator[Run]:
    """Runs of lines of a byte stream; a line that the stream tears off is marked."""
    held = _Unfinished(offset)
    fault = None
    try:
        for chunk in chunks:
            cut = chunk.rfind(b"\n")
            if cut >= 0:
                yield from held.end(chunk[:cut])
            yield from held.add(chunk[cut + 1 :])
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

    def add(self, data: bytes) -> Iterator[Run]:
        """Go on with the line; give it out once it is too long, and keep no more of it."""
        self.num_bytes += len(data)
        if self._is_told:
            return
        self._parts.append(data)
        if self.num_bytes > MAX_LINE_BYTES:
            start = b"".join(self._parts)[:MAX_LINE_BYTES]
            self._is_told, self._parts = True, []
            yield Run(self._offset, start, "line_too_long")

    def end(self, data: bytes, fault: str | None = None) -> Iterator[Run]:
        """End the line with the first of `data`, which hold whole lines, and begin the next."""
        cut = data.find(b"\n")
        if self._is_told or self.num_bytes + (len(data) if cut < 0 else cut) > MAX_LINE_BYTES:
            yield from self.add(data if cut < 0 else data[:cut])
            if fault is not None:
                yield Run(self._offset, b"", fault)
            self._begin(self._offset + self.num_bytes + 1)
            if cut < 0:
                return
            data = data[cut + 1 :]
        yield Run(self._offset, b"".join([*self._parts, data]), fault)
        self._begin(self._offset + self.num_bytes + len(data) + 1)

    def _begin(self, offset: int) -> None:
        self._offset, self.num_bytes, self._parts, self._is_told = offset, 0, [], False


def _without_first_line(runs: Iterator[Run]) -> Iterator[Run]:
    first = next(runs, None)
    if first is None:
        return
    cut = first.data.find(b"\n")
    if cut >= 0 and first.fault is None:
        yield Run(first.offset + cut + 1, first.data[cut + 1 :], None)
    yield from runs


def _until(run: Run, end: int) -> Run:
    """Those lines of a run that start before byte `end`; the first does."""
    cut = -1 if run.fault else run.data.find(b"\n", end - 1 - run.offset)
    return run if cut < 0 else run._replace(data=run.data[:cut])


def _unmarked(run: Run) -> Run:
    if run.offset or not run.data.startswith(BYTE_ORDER_MARK):
        return run
    num_bytes = len(BYTE_ORDER_MARK)
    return run._replace(offset=num_bytes, data=run.data[num_bytes:])
