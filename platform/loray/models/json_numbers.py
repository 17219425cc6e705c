"""JSON whose numbers keep their spelling: 1.10, 1e5 and 12345678901234567890 stay what they are.

A number that Python would spell otherwise becomes a `Spelled` one, which counts and compares as
the number that it is.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, NoReturn, Self


class Spelled(float):
    """A number and how it was written."""

    spelling: str

    def __new__(cls, spelling: str) -> Self:
        """The number that `spelling` writes."""
        number = super().__new__(cls, spelling)
        number.spelling = spelling
        return number

    def __str__(self) -> str:
        return self.spelling

    def __repr__(self) -> str:
        return self.spelling


def parse_json(text: str) -> Any:  # noqa: ANN401 (JSON)
    """The value that a JSON text writes.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return _DECODER.decode(text)


def as_json(value: Any, **form: Any) -> str:  # noqa: ANN401
    """`json.dumps(value, **form)`, numbers as they were spelled."""
    text = json.dumps(value, **form)
    spelled = list(_spelled_in(value))
    if not spelled:
        return text
    # Each such number is written as a text that nothing else is, then its spelling put in.
    mark = next(mark for mark in (f"number {n}:" for n in count()) if mark not in text)
    names = {id(number): f"{mark}{at}" for at, number in enumerate(spelled)}
    written = json.dumps(_named(value, names), **form)
    return re.sub(f'"{mark}([0-9]+)"', lambda found: spelled[int(found[1])].spelling, written)


def _spelled_in(value: Any) -> Iterator[Spelled]:  # noqa: ANN401
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Spelled):
            yield found
        elif isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list | tuple):
            waiting += found


def _named(value: Any, names: Mapping[int, str]) -> Any:  # noqa: ANN401
    match value:
        case Spelled():
            return names[id(value)]
        case dict():
            return {key: _named(item, names) for key, item in value.items()}
        case list() | tuple():
            return [_named(item, names) for item in value]
        case _:
            return value


def _float(text: str) -> float:
    number = float(text)
    return number if repr(number) == text else Spelled(text)


def _int(text: str) -> float:
    try:
        number = int(text)
    except ValueError:  # more digits than Python reads
        return Spelled(text)
    return number if str(number) == text else Spelled(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_refuse_constant)
