"""What is wrong with a spec, and where: the words that a user sees."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loray.errors import SpecError

Path = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""

MAX_SHOWN = 50
MAX_ECHO = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written: a line of a file, or a flag of the command line."""

    source: str
    line: int = 0
    """From 1; 0 when the source has no lines."""
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: found; wanted; do."""

    place: Place
    path: str
    """Dotted; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}" if self.path else self._without_path()

    def _without_path(self) -> str:
        return f"{self.place}: {self.message}"


def dotted(path: Path) -> str:
    """`data.sources.0.uri`, as overrides write it."""
    return ".".join(map(str, path))


def refuse(source: str, faults: Iterable[Fault]) -> SpecError:
    """The error that lists `faults` in the order of their lines."""
    ordered = sorted(set(faults), key=lambda f: (f.place.line, f.place.column, f.path))
    shown = [f"  {fault}" for fault in ordered[:MAX_SHOWN]]
    if len(ordered) > MAX_SHOWN:
        shown.append(f"  and {len(ordered) - MAX_SHOWN} more; correct these first")
    count = f"{len(ordered)} fault{'s' if len(ordered) > 1 else ''} in this spec"
    return SpecError("\n".join([f"{source}: {count}", *shown]), ordered)


def did_you_mean(word: object, known: Sequence[str]) -> str | None:
    """The known word that `word` most likely stands for; None when nothing is near."""
    if not isinstance(word, str):
        return None
    shapes = {name.replace("-", "_").lower(): name for name in known}
    near = difflib.get_close_matches(word.replace("-", "_").lower(), shapes, n=1, cutoff=0.6)
    return shapes[near[0]] if near else None


def shown(value: object) -> str:
    """A value as a fault quotes it, in YAML's words and never at length."""
    match value:
        case None | "":
            words = "nothing" if value is None else "empty text"
        case bool():
            words = "true" if value else "false"
        case str():
            words = f"text {quoted(value)}"
        case list() | tuple():
            words = f"a list of {len(value)}"
        case dict():
            words = f"a block of {', '.join(map(str, list(value)[:4])) or 'nothing'}"
        case _:
            words = str(value)
    return words


def quoted(text: str) -> str:
    """`text` in quotes; its middle is left out, and its length told, when it is long."""
    if len(text) <= MAX_ECHO:
        return repr(text)
    return f"{text[: MAX_ECHO // 2] + '...' + text[-MAX_ECHO // 4 :]!r} ({len(text)} characters)"
