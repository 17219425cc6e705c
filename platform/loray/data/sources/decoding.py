"""A line of JSON to an object, strictly: nothing is coerced, and every fault has a reason."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SHOWN_NAMES, SHOWN_CHARS = 20, 64
"""Names that a note shows, and characters of each."""


class FaultError(Exception):
    """A record cannot become a row; answered with a rejected row."""

    def __init__(self, reason: str, note: str | None = None) -> None:
        super().__init__(reason)
        self.note = note
        """What was found and what was wanted."""


class Number(str):
    """A JSON number as it is spelled."""

    __slots__ = ()


class Twice:
    """Stands for the value of a key that an object holds more than once; reading it is a fault."""


class NotANumber:
    """Stands for NaN and Infinity, which JSON does not have; reading it is a fault."""


TWICE = Twice()
NOT_A_NUMBER = NotANumber()


def parse_line(line: bytes) -> Mapping[str, Any]:
    """The JSON object on a line; numbers keep their spelling.

    A byte order mark before it, as of files that were put one after another, is no part of it.

    Raises:
        FaultError: the line is no JSON object.
    """
    try:
        value = parse_json(line.removeprefix(BYTE_ORDER_MARK).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FaultError("invalid_utf8", utf8_note(error)) from error
    except ValueError as error:
        raise FaultError("malformed_json", f"{error}; wanted one JSON object a line") from error
    if not isinstance(value, dict):
        raise FaultError("not_an_object", f"found {kind_of(value)}; wanted an object")
    return value


def parse_json(text: str) -> Any:  # noqa: ANN401 (JSON)
    """The value that a JSON text holds; `Number`, `Twice` and `NotANumber` stand for theirs.

    Raises:
        ValueError: it is no JSON, or nested too deep to be read.
    """
    try:
        return DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def value_of(record: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 (JSON)
    """The value of a key; None where it is missing.

    Raises:
        FaultError: it stands for more than one value, or for what is no JSON.
    """
    value = record.get(key)
    if value is TWICE:
        raise FaultError("duplicate_key", f"{key!r} stands twice; wanted it once")
    if value is NOT_A_NUMBER:
        raise FaultError("malformed_json", f"{key!r} is NaN or Infinity, which JSON does not have")
    return value


def is_blank(text: str) -> bool:
    """Whether nothing would be left to read or to learn."""
    return not text or text.isspace()


def there_are(record: Mapping[str, Any]) -> str:
    """The names that a record has, in words; of many the first."""
    names = [name[:SHOWN_CHARS] for name in record]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"there are {names[:SHOWN_NAMES]}{more}{_rows_within(record)}"


def _rows_within(record: Mapping[str, Any]) -> str:
    """What to do where one key of a record seems to hold all rows."""
    lists = [name for name, value in record.items() if isinstance(value, list) and value]
    if len(lists) != 1 or not all(isinstance(item, dict) for item in record[lists[0]]):
        return ""
    return f"; if {lists[0][:SHOWN_CHARS]!r} holds the rows, write that list alone, or a row a line"


def utf8_note(error: UnicodeDecodeError) -> str:
    """What to do about bytes that are not UTF-8."""
    return (
        f"found byte 0x{error.object[error.start]:02x} at byte {error.start + 1}; wanted UTF-8; "
        "convert the file, such as: iconv -f WINDOWS-1252 -t UTF-8"
    )


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, bool | Number | int | float):
        return str(value).lower()[:SHOWN_CHARS]
    names = {str: "text", dict: "an object", list: "a list", NotANumber: "NaN or Infinity"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(key for key, _ in pairs)
        found |= {key: TWICE for key, count in times.items() if count > 1}
    return found


def _constant(_: str) -> NotANumber:
    return NOT_A_NUMBER


DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=Number,
    parse_float=Number,
    parse_constant=_constant,
)
