"""YAML 1.2 as data: core-schema scalars, plain blocks and lists, and the line of every value.

PyYAML parses; its YAML 1.1 guesses are left out, so `1e-4` is a number, and `no` and `1:30` are
text. A number with a leading zero is refused: YAML 1.1 reads 0123 as 83, YAML 1.2 as 123.
Tags, anchors, aliases and duplicate keys are refused, as are NaN and infinity: a spec is data, and
each value in it says what it means where it stands. Source: YAML 1.2.2, section 10.3.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from loray.spec.faults import Fault, Path, Place, dotted

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_DIGITS = 40

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9./_-]*(\*[A-Za-z0-9./_-]*)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
"""What a reader of YAML may take for something else than text."""

# The C parser does not recurse and is ten times faster; the wheel may have been built without it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_Container = dict[str, object] | list[object]


@dataclass(slots=True)
class Document:
    """What a text holds, and where each part of it stands."""

    source: str
    data: object = None
    """Blocks are dictionaries, lists are tuples."""
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place_of(self, path: Path, *, key: bool = False) -> Place:
        """Where `path` stands, or the nearest thing around it that was written.

        Args:
            key: look for the key rather than for its value.
        """
        if not key and path in self.values:
            return self.values[path]
        for end in range(len(path), 0, -1):
            here = path[:end]
            if here in self.keys or here in self.values:
                return self.keys.get(here) or self.values[here]
        return self.values.get((), Place(self.source, 1, 1))


class _StopReading(Exception):  # noqa: N818 (not an error: the fault is already written down)
    """The rest of the text cannot be made sense of."""


@dataclass(slots=True)
class _Frame:
    """A block or list whose end has not been read yet."""

    container: _Container
    path: Path
    key: str | None = None
    """The key whose value comes next; None when a key comes next."""
    is_repeated: bool = False
    """It belongs to a key that was already there, so that its own keys are no news."""


def read(text: str, source: str) -> Document:
    """The document in `text`, its faults of form beside it; nothing is raised.

    Args:
        source: the name that places carry: a file, or a command line flag.
    """
    reader = _Reader(Document(source))
    try:
        if len(text) > MAX_BYTES:
            reader.stop(
                Place(source, 1, 1),
                f"found {len(text):,} characters; at most "
                f"{MAX_BYTES:,} are read; a spec names files, it does not hold data",
            )
        for event in yaml.parse(text, Loader=_Loader):
            reader.take(event)
    except _StopReading:
        pass
    except yaml.YAMLError as error:
        reader.fault(*_syntax_fault(error, text, source))
    return reader.document


def scalar(text: str) -> object:
    """The value of a plain scalar under the core schema.

    Raises:
        ValueError: a number that a spec cannot hold; the message says what to write instead.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError(
            f"found {text}; YAML 1.1 and 1.2 read a leading zero differently; "
            f"write {text.lstrip('+-0') or '0'}, or {text!r} in quotes if it is text"
        )
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"found {text}; wanted a finite number; write one")
    return _number(text)


def _number(text: str) -> object:
    """A number if `text` is one, else the text itself."""
    is_whole = _INT.fullmatch(text)
    if not is_whole and not _FLOAT.fullmatch(text):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"found a number of {len(text)} characters; wanted at most {MAX_DIGITS}")
    if is_whole:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if math.isinf(value := float(text)):
        raise ValueError(f"found {text}, beyond the largest double; write a smaller number")
    return value


class _Reader:
    """Builds a document from parser events, without recursion."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._frames: list[_Frame] = []
        self._num_documents = 0

    def take(self, event: yaml.Event) -> None:
        place = self._place(event)
        match event:
            case yaml.DocumentStartEvent():
                self._num_documents += 1
                if self._num_documents > 1:
                    self.stop(place, "found a second document; wanted one; remove this `---`")
            case yaml.AliasEvent():
                self.fault(
                    place,
                    self._path_of_next(),
                    f"found *{event.anchor}, an alias; a spec has none; write it out, or put "
                    "text that begins with * in quotes",
                )
                self._put(None, place)
            case yaml.ScalarEvent():
                self._refuse_marks(event, place)
                self._take_scalar(event, place)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_marks(event, place)
                self._open({} if isinstance(event, yaml.MappingStartEvent) else [], place)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()

    def fault(self, place: Place, path: Path, message: str) -> None:
        self.document.faults.append(Fault(place, dotted(path), message))

    def stop(self, place: Place, message: str) -> None:
        self.fault(place, self._path_of_next(), message)
        raise _StopReading

    def _refuse_marks(self, event: yaml.NodeEvent, place: Place) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.fault(
                place,
                self._path_of_next(),
                f"found {tag}, a tag; a spec has none; remove it, or put text that begins with ! "
                "in quotes",
            )
        if event.anchor is not None:
            self.fault(
                place,
                self._path_of_next(),
                f"found &{event.anchor}, an anchor; a spec has none; remove it, or put text that "
                "begins with & in quotes",
            )

    def _take_scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            self._take_key(frame, event.value, place)
            return
        value: object = event.value
        if event.implicit[0]:  # plain: not in quotes, not a block of text
            try:
                value = scalar(event.value)
            except ValueError as error:
                self.fault(place, self._path_of_next(), str(error))
        self._put(value, place)

    def _take_key(self, frame: _Frame, key: str, place: Place) -> None:
        frame.key = key
        first = self.document.keys.setdefault((*frame.path, key), place)
        if first is not place and not frame.is_repeated:
            self.fault(
                place,
                (*frame.path, key),
                f"found the key {key!r} again; it is also in "
                f"line {first.line}; remove one of the two",
            )

    def _open(self, container: _Container, place: Place) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            self.stop(place, "found a block or list as a key; wanted plain text; write a word")
        if len(self._frames) >= MAX_DEPTH:
            self.stop(
                place,
                f"found more than {MAX_DEPTH} levels of nesting; a spec needs six; "
                "look for an unclosed bracket",
            )
        path = self._path_of_next()
        self.document.values.setdefault(path, place)
        is_repeated = frame is not None and (
            frame.is_repeated
            or (isinstance(frame.container, dict) and frame.key in frame.container)
        )
        self._frames.append(_Frame(container, path, is_repeated=is_repeated))

    def _close(self) -> None:
        container = self._frames.pop().container
        self._attach(tuple(container) if isinstance(container, list) else container)

    def _put(self, value: object, place: Place) -> None:
        self.document.values.setdefault(self._path_of_next(), place)
        self._attach(value)

    def _attach(self, value: object) -> None:
        if not self._frames:
            self.document.data = value
            return
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
        elif frame.key is not None:
            frame.container.setdefault(frame.key, value)  # of two equal keys, the first
            frame.key = None

    def _path_of_next(self) -> Path:
        if not self._frames:
            return ()
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            return (*frame.path, len(frame.container))
        return frame.path if frame.key is None else (*frame.path, frame.key)

    def _place(self, event: yaml.Event) -> Place:
        return _place_of_mark(event.start_mark, self.document.source)


def _syntax_fault(error: yaml.YAMLError, text: str, source: str) -> tuple[Place, Path, str]:
    place = _place_of_mark(getattr(error, "problem_mark", None), source)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return place, (), f"not YAML: {problem}; {_syntax_remedy(text, place)}"


def _syntax_remedy(text: str, place: Place) -> str:
    line = "".join(text.splitlines()[place.line - 1 : place.line])
    if "\t" in line[: place.column]:
        return "indent with spaces, not tabs"
    if line[place.column - 1 : place.column] in {"*", "&", "!", "@", "`", "%"}:
        return "put text that begins with this sign in quotes"
    return "correct this line"


def _place_of_mark(mark: object, source: str) -> Place:
    """PyYAML counts lines and columns from 0, and has no mark for some faults."""
    return Place(source, getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1)


def written(text: str) -> str:
    """`text` as it is written in YAML; in quotes where it could be read as something else."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if is_plain else json.dumps(text, ensure_ascii=True)


def flow_mapping(pairs: Mapping[str, str]) -> str:
    """Keys and texts as YAML has them on one line."""
    return f"{{{', '.join(f'{key}: {written(text)}' for key, text in pairs.items())}}}"
