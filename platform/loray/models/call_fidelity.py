"""Whether a chat template wrote the arguments of a tool call as a row has them.

Most templates write them as JSON, which is looked for as a whole. Some write each in a place of its
own (`<parameter=city>`, `weather(city="Oslo")`): of those every key and every value has to stand
there, one after another.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from loray.models.json_numbers import Spelled, as_json

_SHORT = 64
"""Values up to this length are looked for as words: 1 is not found in 10."""


def missing_of(arguments: Any, written: str) -> str | None:  # noqa: ANN401 (JSON)
    """What of the arguments of a call is not written; None where all is.

    Args:
        arguments: an object, as JSON is decoded.
        written: what the template makes of the answer.
    """
    if not arguments or as_json(arguments, ensure_ascii=False) in written:
        return None
    if not isinstance(arguments, Mapping):
        return f"arguments {as_json(arguments, ensure_ascii=False):.80}"
    if literal := _python_in(arguments, written):
        return f"argument {literal!r:.80} of a call: it is written as Python's repr, not as JSON"
    first = _first_missing(_leaves(arguments), written)
    if first is None or _first_missing(_leaves(_in_order(arguments)), written) is None:
        return None
    path, is_key = first
    what = "argument" if is_key else "value of argument"
    return f"{what} {path!r:.80} of a call"


Leaf = tuple[str, bool, tuple[str, ...]]
"""The argument that it belongs to, whether it is a key, and the ways to write it."""


def _first_missing(leaves: Iterator[Leaf], written: str) -> tuple[str, bool] | None:
    at = 0
    for path, is_key, forms in leaves:
        found = [end for form in forms if (end := _end_of(form, written, at)) >= 0]
        if not found:
            return path, is_key
        at = min(found)
    return None


def _end_of(form: str, written: str, at: int) -> int:
    """Where the first `form` from `at` on ends, as a word where it is short; -1 without any."""
    if len(form) > _SHORT:
        found = written.find(form, at)
        return found + len(form) if found >= 0 else -1
    before = r"(?<![\w.+-])" if form[:1].isalnum() or form[:1] == "-" else ""
    after = r"(?![\w]|\.\d)" if form[-1:].isalnum() else ""
    match = re.compile(f"{before}{re.escape(form)}{after}").search(written, at)
    return match.end() if match else -1


def _leaves(value: Any, path: str = "") -> Iterator[Leaf]:  # noqa: ANN401
    """Keys and values in the order in which they are written."""
    match value:
        case Mapping():
            for key, item in value.items():
                own = f"{path}.{key}" if path else str(key)
                yield own, True, _forms(str(key))
                yield from _leaves(item, own)
        case list() | tuple():
            for item in value:
                yield from _leaves(item, path)
        case _:
            yield path, False, _forms(value)


def _forms(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    """How a value may be written."""
    match value:
        case str():
            quoted = {json.dumps(value, ensure_ascii=only)[1:-1] for only in (False, True)}
            return tuple({value, *quoted, repr(value)[1:-1]})
        case bool() | None:
            return (json.dumps(value), str(value))
        case Spelled():
            return (str(value),)
        case _:
            return (json.dumps(value),)


def _python_in(arguments: Mapping[str, Any], written: str) -> str | None:
    """An argument that stands in an object as Python writes it, which no client can parse."""
    for key, value in arguments.items():
        quoted = re.escape(str(key))
        literal = "True|False|None" if isinstance(value, bool | None) else r"(?!)"
        if re.search(rf"'{quoted}'\s*:|\"{quoted}\"\s*:\s*(?:{literal})\b", written):
            return str(key)
        if isinstance(value, Mapping) and (found := _python_in(value, written)):
            return f"{key}.{found}"
    return None


def _in_order(value: Any) -> Any:  # noqa: ANN401
    """The same with the keys of objects sorted, as `dictsort` and `sort_keys` write them."""
    match value:
        case Mapping():
            return {key: _in_order(value[key]) for key in sorted(value, key=str)}
        case list() | tuple():
            return [_in_order(item) for item in value]
        case _:
            return value
