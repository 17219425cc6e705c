"""`--set-list path=a,b,c`: several values for a field, and every combination of several fields."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from loray.spec import yaml12
from loray.spec.faults import MAX_ECHO, Fault, Place, refuse

SOURCE = "--set-list"


@dataclass(frozen=True)
class Axis:
    """One field and the values that it takes."""

    path: str
    values: tuple[object, ...]


def parse_axes(texts: Iterable[str]) -> tuple[Axis, ...]:
    """The fields of `PATH=VALUE,VALUE,...` texts; values are YAML, as `--set` takes them.

    Raises:
        SpecError: a text has no path or no values, a value is there twice, or a path is.
    """
    axes: list[Axis] = []
    faults: list[Fault] = []
    for text in texts:
        name, _, values = text.partition("=")
        axis = Axis(name.strip(), _items(values))
        fault = _fault(axis, axes)
        if fault:
            faults.append(Fault(Place(f"{SOURCE} {axis.path[:MAX_ECHO]}"), "", fault))
        axes.append(axis)
    if faults:
        raise refuse(SOURCE, faults)
    return tuple(axes)


def combinations(axes: Iterable[Axis]) -> list[tuple[str, ...]]:
    """Every combination, the last field changing first, each as overrides for `--set`."""
    choices = [[f"{axis.path}={in_words(value)}" for value in axis.values] for axis in axes]
    return list(product(*choices))


def in_words(value: object) -> str:
    """A value as `--set` reads it back; JSON is YAML too."""
    return value if isinstance(value, str) and _reads_back(value) else json.dumps(value)


def _reads_back(text: str) -> bool:
    document = yaml12.read(text, SOURCE)
    return not document.faults and document.data == text


def _items(text: str) -> tuple[object, ...]:
    """The items of a YAML list without its brackets; none where it is no list."""
    document = yaml12.read(f"[{text}]", SOURCE)
    return document.data if not document.faults and isinstance(document.data, tuple) else ()


def _fault(axis: Axis, others: list[Axis]) -> str | None:
    if not all(axis.path.split(".")) or not axis.values:
        return "wanted --set-list path=value,value, such as --set-list method.rank=4,8,16"
    words = [in_words(value) for value in axis.values]
    twice = next((word for word in words if words.count(word) > 1), None)
    if twice is not None:
        return f"found {twice[:MAX_ECHO]} twice; name each value once"
    if any(axis.path == other.path for other in others):
        return "found this path in two lists; put all its values into one"
    return None


def end_of(axis: Axis, override: str) -> str:
    """`highest` or `lowest` where an override of `combinations` has an axis' last number.

    Empty where it lies between others, and where the values are no numbers.
    """
    numbers = [v for v in axis.values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < 2 or len(numbers) != len(axis.values):
        return ""
    ends = {"highest": max(numbers), "lowest": min(numbers)}
    value = override.removeprefix(f"{axis.path}=")
    return next((word for word, end in ends.items() if in_words(end) == value), "")
