"""Records of a CSV file, whose quoted fields may hold line ends. Source: RFC 4180.

A record that cannot be parsed costs its first line and no more: the next record is looked for on
the line after it. So a quote that is never closed does not swallow what follows.
"""

import csv
from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from loray.data.sources.decoding import FaultError
from loray.data.sources.lines import Line, line_fault, read_lines
from loray.data.sources.records import Found
from loray.data.sources.rows import Columns, Tally
from loray.errors import SourceError
from loray.spec.sources import CsvSource

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile

MAX_RECORD_LINES = 10_000
MAX_RECORD_CHARS = 32 << 20


def spans(file: "SourceFile", source: CsvSource) -> list[tuple[int, int]]:
    """The whole file, since only its beginning tells which line ends are within quotes.

    Raises:
        SourceError: the header does not fit the spec.
    """
    if file.size == 0:
        return []
    names = column_names(file, source)
    repeated = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in file.columns if name not in names]
    if repeated:
        raise SourceError(
            f"{file.key}: its header says {repeated} more than once; rename the columns, or name "
            f"them all in data.{file.label}.columns of a file without a header"
        )
    if missing:
        raise SourceError(
            f"{file.key} has no column {missing[0]!r}, only {names}; correct "
            f"data.{file.label}.fields, or the delimiter"
        )
    return [(0, file.size)]


def column_names(file: "SourceFile", source: CsvSource) -> list[str]:
    """From the spec, or from the first record."""
    if source.columns is not None:
        return list(source.columns)
    for _, _, fields, _ in _Records(file, source.delimiter):
        if isinstance(fields, FaultError):
            raise SourceError(
                f"{file.key}: the header on its first line cannot be read ({fields}); mend it, or "
                f"name the columns in data.{file.label}.columns"
            )
        return fields
    return []


def read_records(file: "SourceFile", source: CsvSource) -> Generator[Found, None, Tally]:
    """What the file holds, and in the end its tally."""
    records = _Records(file, source.delimiter)
    names = None if source.columns is None else list(source.columns)
    for number, offset, fields, text in records:
        if names is None and not isinstance(fields, FaultError):
            names = fields
            continue
        yield Found(number, offset, _record(fields, names), text.encode("utf-8", "surrogateescape"))
    columns = Columns(source.fields)
    columns.see(names or ())
    return columns.tally(records.num_lines)


def _record(fields: list[str] | FaultError, names: list[str] | None) -> dict[str, str] | FaultError:
    if isinstance(fields, FaultError):
        return fields
    if names is None or len(fields) != len(names):
        wanted = 0 if names is None else len(names)
        return FaultError("wrong_number_of_fields", f"found {len(fields)}; wanted {wanted}")
    if any(not _is_utf8(field) for field in fields):
        return FaultError("invalid_utf8", "found bytes that are not UTF-8; convert the file")
    return dict(zip(names, fields, strict=True))


class _Records:
    """Parsed records: number of the first line, its offset, the fields or the fault, the text."""

    def __init__(self, file: "SourceFile", delimiter: str) -> None:
        self.num_lines = 0
        self._lines = read_lines(file, 0, file.size)
        self._returned: deque[Line] = deque()
        self._delimiter = delimiter
        self._taken: list[Line] = []

    def __iter__(self) -> Iterator[tuple[int, int, list[str] | FaultError, str]]:
        csv.field_size_limit(MAX_RECORD_CHARS)
        while True:
            self._taken = []
            reader = csv.reader(self._give(), delimiter=self._delimiter, strict=True)
            try:
                fields: list[str] | FaultError = next(reader, [])
            except csv.Error as error:
                fields = FaultError("malformed_csv", f"{error}; wanted a record as in RFC 4180")
            if not self._taken:
                return
            if len(self._taken) == 1 and self._taken[0].fault is not None:
                fields = line_fault(self._taken[0].fault)
            first = self.num_lines + 1
            if isinstance(fields, FaultError):
                self._returned.extendleft(reversed(self._taken[1:]))
                del self._taken[1:]
            self.num_lines += len(self._taken)
            if fields:
                text = "\n".join(_decode(line.data) for line in self._taken)
                yield first, self._taken[0].offset, fields, text

    def _give(self) -> Iterator[str]:
        """Lines as the reader asks for them, until a record takes too many."""
        num_chars = 0
        while len(self._taken) < MAX_RECORD_LINES and num_chars <= MAX_RECORD_CHARS:
            line = self._returned.popleft() if self._returned else next(self._lines, None)
            if line is None:
                return
            self._taken.append(line)
            num_chars += len(line.data)
            if line.fault is not None:
                return
            yield _decode(line.data) + "\n"


def _decode(data: bytes) -> str:
    return data.removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= char <= "\udcff" for char in text)
