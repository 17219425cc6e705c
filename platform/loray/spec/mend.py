"""A spec's data, what was refused in it replaced by what is accepted, so that the rest is read."""

from collections.abc import Iterable

from loray.spec import shape
from loray.spec.faults import Path

_GONE = object()


def mended(data: object, refused: Iterable[Path]) -> object:
    """`data` with a stand-in in each refused place, and unknown fields gone."""
    for path in refused:
        here = path[:-1] if path[-1:] == ("kind",) else path  # another kind has other fields
        data = _replaced(data, here, shape.node_at(data, here))
    return data


def overlap(one: Path, other: Path) -> bool:
    """Whether one path leads to the other, or they are the same."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _replaced(data: object, path: Path, node: shape.Node) -> object:
    if not path:
        return shape.stand_in(node) if node else _GONE
    step, rest = path[0], path[1:]
    if isinstance(data, tuple) and isinstance(step, int):
        return (*data[:step], _replaced(data[step], rest, node), *data[step + 1 :])
    block = data if isinstance(data, dict) else {}
    changed = block | {step: _replaced(block.get(step), rest, node)}
    return {key: value for key, value in changed.items() if value is not _GONE}
