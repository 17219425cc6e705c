"""The elements of a JSON array, or of JSON values that go on over lines, one after another.

A file of any size is read in bounded memory: no more than one element and one chunk are held. An
element that cannot be read costs itself where the next one can be told by its indentation; where
nothing tells, the file is refused, since a guess could learn a part of a row as a row.
"""

import codecs
import json
import re
from collections.abc import Generator, Iterable
from typing import Literal, NamedTuple

from loray.data.sources import lines
from loray.data.sources.decoding import BYTE_ORDER_MARK
from loray.data.sources.streams import TornError

_BLANK = re.compile(r"[ \t\n\r]*")
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
NEAR_END = 16
"""A fault so near to the end of what is there may be mended by what follows."""
CUT_OFF = "the file ends within an array or a value; wanted all of it; fetch or write it again"
TOO_LONG = f"an element of more than {lines.MAX_LINE_BYTES >> 20} MB; wanted a shorter one"


class Element(NamedTuple):
    """One value and where it stands."""

    number: int
    """1-based, of its first line."""
    offset: int
    """In bytes of the text."""
    data: bytes
    fault: str | None = None
    note: str | None = None


class DamagedError(Exception):
    """An array in which nothing tells where its next element begins."""


class _Damage(NamedTuple):
    """Why the value at a place is not read."""

    fault: str
    note: str
    size: int | None = None
    """How many characters it has; None where nothing tells."""


def read_elements(chunks: Iterable[bytes]) -> Generator[Element, None, int]:
    """Every element, and in the end how many lines there are.

    Args:
        chunks: bytes of the file from its beginning.

    Raises:
        DamagedError: the rest of an array cannot be told apart.
    """
    text = _Text(chunks)
    is_open = False
    while (sign := text.next_sign()) is not None:
        if sign == "[" and not is_open:
            text.skip(1)
            is_open = True
        elif sign == "]" and is_open:
            text.skip(1)
            is_open = False
        elif sign == "," and is_open:
            text.skip(1)
        else:
            element = _element(text)
            yield element
            is_open = is_open and (element.fault is None or not text.is_done)
    if is_open or text.is_torn:
        yield Element(text.number, text.offset, b"", "torn_stream", CUT_OFF)
    return text.number


def _element(text: "_Text") -> Element:
    number, offset, indent = text.number, text.offset, text.indent
    end = text.end_of_value()
    if isinstance(end, int):
        return Element(number, offset, text.take(end))
    if end.size is not None:
        return Element(number, offset, text.take(end.size), end.fault, end.note)
    if end.fault == "torn_stream":
        text.is_torn = False  # as this element says
        return Element(number, offset, text.take_rest(), end.fault, end.note)
    if indent is None:
        raise DamagedError(f"line {number}, byte {offset}: {end.note}")
    return Element(number, offset, text.take_until_next(indent), end.fault, end.note)


class _Text:
    """The text that is there, decoded, and where its first character stands."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.number, self.offset = 1, 0
        self.indent: str | None = ""
        """White space before the next value on its line; None where other things precede it."""
        self.is_torn = False
        self._chunks = iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._is_at_end = False
        self._text, self._at = "", 0
        self._fill()
        if self._text.startswith("\ufeff"):
            self.offset, self._at = len(BYTE_ORDER_MARK), 1

    @property
    def is_done(self) -> bool:
        """Whether all was passed over."""
        return self._is_at_end and self._at >= len(self._text)

    def next_sign(self) -> str | None:
        """The first character that is not blank; None at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            end = blank.end() if blank else self._at
            self.skip(end - self._at)
            if end < len(self._text):
                return self._text[end]
            if not self._fill():
                return None

    def skip(self, count: int) -> bytes:
        """Pass over characters, and return the bytes that they were."""
        passed = self._text[self._at : self._at + count]
        data = passed.encode("utf-8", "surrogateescape")
        last = passed.rfind("\n") + 1
        if last:
            self.number += passed.count("\n")
            self.indent = ""
        if self.indent is not None:
            rest = passed[last:]
            self.indent = None if rest.strip(" \t\r") else self.indent + rest
        self.offset += len(data)
        self._at += count
        return data

    take = skip

    def take_rest(self) -> bytes:
        """Pass over everything that is left, and return its beginning."""
        kept = b""
        while self._at < len(self._text) or self._fill():
            kept = (kept + self.skip(len(self._text) - self._at))[: lines.MAX_LINE_BYTES]
        return kept

    def end_of_value(self) -> int | _Damage:
        """How many characters the value here has."""
        while isinstance(found := self._scan(), str):
            if self._is_at_end:
                return _Damage("torn_stream", CUT_OFF)
            if len(self._text) - self._at > lines.MAX_LINE_BYTES:
                return _Damage("line_too_long", TOO_LONG)
            self._fill(at_least=len(self._text) - self._at)
        return found

    def _scan(self) -> int | _Damage | Literal["cut"]:
        """The same, or that the text ends within the value."""
        try:
            _, end = _SCANNER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            if self._is_cut(error):
                return "cut"
            return _Damage("malformed_json", f"{error.msg}; wanted one JSON value")
        except (RecursionError, ValueError):
            return _Damage("malformed_json", "it is nested too deep")
        is_closed = self._text[end - 1] in '}]"'  # a number may go on
        is_whole = is_closed or end + NEAR_END < len(self._text) or self._is_at_end
        return self._bounded(end - self._at) if is_whole else "cut"

    def take_until_next(self, indent: str) -> bytes:
        """Pass over a value that cannot be read, to a line on which another one begins like it.

        Returns:
            its beginning.
        """
        begins = re.compile(rf"\n{re.escape(indent)}(?=[{{\[])")
        kept, first = b"", self._at + 1
        while True:
            found = begins.search(self._text, first)
            end = len(self._text) if self._is_at_end else len(self._text) - len(indent) - 2
            end = max(end, self._at) if found is None else found.start()
            kept = (kept + self.skip(end - self._at))[: lines.MAX_LINE_BYTES]
            if found is not None or self._is_at_end:
                return kept
            self._fill()
            first = self._at

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether a fault is that the text ends."""
        left = self._text[error.pos :]
        if not self._is_at_end and len(left) <= NEAR_END:
            return True
        is_word = any(word.startswith(left.strip()) for word in _WORDS)
        is_escape = error.msg.startswith("Invalid \\") and len(left) < NEAR_END
        return is_word or is_escape or error.msg.startswith("Unterminated")

    def _bounded(self, count: int) -> int | _Damage:
        is_long = count > lines.MAX_LINE_BYTES
        return _Damage("line_too_long", TOO_LONG, count) if is_long else count

    def _fill(self, at_least: int = 1) -> bool:
        """Read on; false when there is no more."""
        parts, count = [self._text[self._at :]], 0
        while count < at_least and not self._is_at_end:
            data = self._next_chunk()
            decoded = self._decoder.decode(data, final=self._is_at_end)
            parts.append(decoded)
            count += len(decoded)
        self._text, self._at = "".join(parts), 0
        return count > 0

    def _next_chunk(self) -> bytes:
        try:
            chunk = next(self._chunks, None)
        except TornError:
            self.is_torn, chunk = True, None
        self._is_at_end = chunk is None
        return chunk or b""
