"""How large a text an operation of a chat template is going to make, before it makes it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

MAX_WIDTH = 100_000
"""Largest width, indent or count that a filter, a format or a method may be given."""
MAX_BITS = 100_000
"""Longest whole number that is worked out."""
MAX_FORM = 256
"""Longest form of a date."""
MAX_NODES = 1 << 22
TOO_MUCH = float("inf")

_WIDE = re.compile(r"\d{6}|\*")
"""A width of a format that is no width of a chat."""
_SPELLING = frozenset(
    {"capitalize", "e", "escape", "format", "indent", "join", "lower", "replace", "string",
     "striptags", "title", "tojson", "trim", "truncate", "upper", "urlencode", "wordcount"}
)  # fmt: skip
"""Filters that make text of what they are given."""
_NEEDLESS = frozenset({"maketrans", "to_bytes", "translate"})
_WIDENING = frozenset({"batch", "format", "indent", "round", "slice", "tojson", "truncate"})


class Weight(NamedTuple):
    """How much a value holds, counted as often as it holds it."""

    elements: int
    chars: int


def weight(value: Any) -> Weight:  # noqa: ANN401 (a template's value)
    """Elements and characters of nested lists and dictionaries; counting ends at a limit."""
    elements = chars = 0
    waiting = [value]
    while waiting and elements < MAX_NODES:
        found = waiting.pop()
        elements += 1
        if isinstance(found, str):
            chars += len(found) + 2
        elif isinstance(found, dict):
            chars += 2
            waiting += found.keys()
            waiting += found.values()
        elif isinstance(found, list | tuple | set):
            chars += 2
            waiting += found
        else:
            chars += 24
    return Weight(elements, chars if not waiting else MAX_NODES * 64)


def of_operation(operator: str, left: Any, right: Any) -> float:  # noqa: ANN401
    """Characters, elements or digits that an operator is going to make."""
    match operator:
        case "*":
            return _product(left, right)
        case "**":
            return _power(left, right)
        case "%" if isinstance(left, str):
            return _formatted(left, right if isinstance(right, tuple) else (right,))
        case _:
            return 0  # no more than both together: counted once it is there


def of_call(function: Any, args: tuple[Any, ...]) -> tuple[float, tuple[Any, ...]]:  # noqa: ANN401
    """The same for a call, and its arguments; what can be gone through once is a list then."""
    bound = getattr(function, "__wrapped__", function)
    owner = getattr(bound, "__self__", None)
    if not isinstance(owner, str | bytes | int) or isinstance(owner, bool):
        return 0, args
    name = getattr(bound, "__name__", "")
    if name in _NEEDLESS or any(map(_is_wide, args)):
        return TOO_MUCH, args
    if isinstance(owner, str) and args and name == "join":
        parts = _listed(args[0])
        return _joined(parts, owner), (parts,)
    return (_of_method(owner, name, args) if isinstance(owner, str) else 0), args


def _of_method(text: str, name: str, args: tuple[Any, ...]) -> float:
    match name, args:
        case "expandtabs", _:
            return len(text) + text.count("\t") * max(
                [8, *(arg for arg in args if isinstance(arg, int))]
            )
        case (("format" | "format_map"), _):
            return _formatted(text, args)
        case "replace", (str(old), str(new), *_):
            return _replaced(text, old, new)
        case _:
            return 0


def of_filter(
    name: str, args: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[float, tuple[Any, ...]]:
    """The same for a filter; the first of its arguments may be jinja2's own."""
    at = 1 if len(args) > 1 and type(args[0]).__module__.startswith("jinja2") else 0
    value, more = args[at], [*args[at + 1 :], *named.values()]
    if name in _WIDENING and any(map(_is_wide, more)):
        return TOO_MUCH, args
    if name == "join":
        parts = _listed(value)
        glue = next((item for item in more if isinstance(item, str)), "")
        return _joined(parts, glue), (*args[:at], parts, *args[at + 1 :])
    if name in _SPELLING:
        return _of_spelling(name, value, more), args
    is_list_sum = name == "sum" and not all(isinstance(item, int | float | str) for item in more)
    return (TOO_MUCH if is_list_sum else 0), args


def _of_spelling(name: str, value: Any, more: Sequence[Any]) -> float:  # noqa: ANN401
    size = 0 if isinstance(value, str) else weight(value).chars
    match name, more:
        case "replace", (old, new, *_):
            return _replaced(str(value), str(old), str(new))
        case "indent", _:
            text = str(value)
            return len(text) + (text.count("\n") + 1) * max(map(_width, more), default=4)
        case "format", _:
            return _formatted(str(value), tuple(more))
        case "tojson", _:
            return size + weight(value).elements * (8 + max(map(_width, more), default=0))
        case _:
            return size


def _is_wide(value: object) -> bool:
    return isinstance(value, int) and abs(value) > MAX_WIDTH


def _width(value: Any) -> int:  # noqa: ANN401
    if isinstance(value, int):
        return abs(value)
    return len(value) if isinstance(value, str) else 8


def _listed(parts: Any) -> Any:  # noqa: ANN401
    if isinstance(parts, list | tuple | str | dict) or not isinstance(parts, Iterable):
        return parts
    return list(parts)


def _joined(parts: Any, glue: str) -> float:  # noqa: ANN401
    if isinstance(parts, str):
        return len(parts) * (1 + len(glue))
    if not isinstance(parts, list | tuple | dict):
        return 0
    return weight(parts).chars + len(parts) * len(glue)


def _replaced(text: str, old: str, new: str) -> float:
    return len(text) + text.count(old) * len(new)


def _formatted(form: str, args: tuple[Any, ...]) -> float:
    """A format may name one argument many times, and give each a width."""
    if _WIDE.search(form) or any(_is_wide(arg) for arg in args):
        return TOO_MUCH
    longest = max((weight(arg).chars for arg in args), default=0)
    return len(form) + (form.count("%") + form.count("{")) * max(longest, MAX_WIDTH // 10)


def _product(left: Any, right: Any) -> float:  # noqa: ANN401
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | bytes | list | tuple) and isinstance(times, int):
            return len(many) * max(times, 0)
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() + right.bit_length()
        return TOO_MUCH if bits > MAX_BITS else 0
    return 0


def _power(base: Any, exponent: Any) -> float:  # noqa: ANN401
    if isinstance(base, int) and isinstance(exponent, int):
        return TOO_MUCH if base.bit_length() * abs(exponent) > MAX_BITS else 0
    return 0
