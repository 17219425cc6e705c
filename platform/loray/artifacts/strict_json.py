"""JSON as the standard has it, for files and requests that others write."""

import json
from typing import Any


def parse_json(text: bytes) -> object:
    """JSON as the standard has it: UTF-8, no key twice in an object, no NaN.

    Raises:
        ValueError: it is something else.
        RecursionError: it is nested too deeply.
    """
    found: object = json.loads(
        text.decode("utf-8"), object_pairs_hook=_unique_object, parse_constant=_refuse_constant
    )
    return found


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:200]!r} is there twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
