"""Records of a JSON Lines file."""

from collections.abc import Generator
from typing import TYPE_CHECKING

from loray.data.sources.lines import read_lines
from loray.data.sources.records import FaultError, Found, parse_line

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile


def read_records(file: "SourceFile", start: int, end: int) -> Generator[Found, None, int]:
    """What the lines of a part hold, and in the end how many lines there are."""
    number = 0
    for line in read_lines(file, start, end):
        number += 1
        if line.fault is not None:
            yield Found(number, line.offset, FaultError(line.fault), line.data)
        elif line.data.strip():  # an empty line holds nothing that could be kept
            try:
                yield Found(number, line.offset, parse_line(line.data), line.data)
            except FaultError as fault:
                yield Found(number, line.offset, fault, line.data)
    return number
