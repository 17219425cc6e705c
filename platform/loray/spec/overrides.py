"""`--set path=value`: values from the command line, laid over a document."""

from collections.abc import Iterable

from loray.spec import yaml12
from loray.spec.faults import MAX_ECHO, Fault, Path, Place, dotted, shown
from loray.spec.yaml12 import Document


def lay_over(document: Document, overrides: Iterable[str]) -> None:
    """Put the value of each override into `document`, and a fault where it does not fit."""
    for override in overrides:
        name, equals, text = override.partition("=")
        name = name.strip()
        place = Place(f"--set {name[:MAX_ECHO]}")
        if not equals or not all(name.split(".")):
            document.faults.append(
                Fault(place, "", "wanted --set path=value, such as --set train.steps=200")
            )
            continue
        value = yaml12.read(text, place.source)
        document.faults.extend(Fault(place, name, fault.message) for fault in value.faults)
        if not value.faults:
            _set(document, path_of(name), value.data, place)


def path_of(name: str) -> Path:
    """The path that a dotted name means; steps of digits count list items from 0."""
    return tuple(int(step) if step.isdecimal() else step for step in name.split("."))


def _set(document: Document, path: Path, value: object, place: Place) -> None:
    """Rebuild the containers along `path`; a block that is missing on the way is made."""
    try:
        document.data = with_value(document.data, path, value)
    except LookupError as error:
        document.faults.append(Fault(place, dotted(path), str(error.args[0])))
        return
    for written in [p for p in document.values if p[: len(path)] == path]:
        del document.values[written]
    for written in [p for p in document.keys if p[: len(path)] == path]:
        del document.keys[written]
    document.values[path] = document.keys[path] = place


def with_value(data: object, path: Path, value: object) -> object:
    """`data` with `value` at `path`; nothing is changed in place.

    Raises:
        LookupError: `path` leads through a value that holds no others, or past a list's end.
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(data, tuple):
        if not isinstance(step, int) or step >= len(data):
            raise LookupError(
                f"found a list of {len(data)}, and no item {step!r} in it; items count from 0; "
                "correct the path"
            )
        changed = list(data)
        changed[step] = with_value(data[step], rest, value)
        return tuple(changed)
    if data is None or isinstance(data, dict):
        block = data or {}
        return block | {str(step): with_value(block.get(str(step)), rest, value)}
    raise LookupError(f"found {shown(data)} where a block would have to be; correct the path")
