"""Values in one text, replaced by typed placeholders such as `<EMAIL_1f3a>`.

A kind of value is found in three moves, the cheapest first: hints (one of which every text with
such a value holds), a pattern, and a check behind the pattern. Most texts hold no hint.
Patterns take time linear in a text: what repeats is bounded, or cannot be split in two ways.

A placeholder's digits are a salted hash of the value, so that one value keeps one placeholder
within a dataset and nobody can look it up. No pattern matches a placeholder, and a text is gone
over until nothing more is found, so scrubbing twice changes nothing.
"""

import hashlib
import hmac
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, cached_property, partial
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from loray.data.steps.anchors import Places

Hint: TypeAlias = tuple[int, str]
"""Number of a view on the text, and what to look for in it, a character for each byte of UTF-8."""
View: TypeAlias = str | frozenset[str]
Needles: TypeAlias = tuple[tuple[int, tuple[str, ...] | frozenset[str]], ...]
"""Hints, together by view."""
FOLDED, BARE, SHAPES, STARTS, HEX, RUNS = range(6)

LEAST_TOKEN = 16
"""Characters from which a token's start is in the view of starts."""
_DIGITS = b"0123456789"
_LETTERS = b"abcdefghijklmnopqrstuvwxyz"
_TO_FOLDED = bytes.maketrans(_LETTERS.upper() + _DIGITS, _LETTERS + b"0" * 10)
_TO_HEX = bytes.maketrans(b"0abcdef", b"fffffff")
_TO_RUNS = bytes.maketrans(b"0" + _LETTERS, b"w" * 27)
_TO_SHAPES = bytes(
    45 if byte in b" ./()\xa0\x87\x89\x90\x91\x92\x93\xaf" else byte for byte in range(256)
)
_NOT_IN_SHAPES = _LETTERS + b"\xc2\xe2\x80"
"""Letters, and what begins a no-break space, a thin one or a hyphen in UTF-8."""
_TOKEN = _LETTERS + b"0_/+.-"
_TO_TOKEN_RUNS = bytes(119 if at in _TOKEN else 32 for at in range(256))
_LONG_TOKEN = "w" * LEAST_TOKEN
_NO_STARTS: frozenset[str] = frozenset()
_PLACEHOLDER = re.compile(r"[A-Z]_[0-9a-f]{4}>")


def always(found: re.Match[str]) -> bool:  # noqa: ARG001 - the signature of a check
    """The check of a pattern that needs none."""
    return True


class Entity(NamedTuple):
    """A kind of value. Where its pattern has a group `value`, only that group is replaced."""

    kind: str
    """Its name in a spec."""
    label: str
    """Its name in placeholders: capitals and underscores."""
    hints: tuple[Hint, ...]
    pattern: re.Pattern[str]
    is_real: Callable[[re.Match[str]], bool] = always
    canonical: Callable[[str], str] = str
    """What the ways to write one value have in common."""
    also: tuple[tuple[Hint, ...], ...] = ()
    """Further sets of hints: one of each is needed too. `hints` should be the quickest."""
    min_digits: int = 0
    """Fewest decimal digits of a text that can hold it."""
    max_chars: int = sys.maxsize
    """Longest text that it is looked for in."""
    places: Places | None = None
    """Where its pattern may begin, where that is quicker to tell than to search for."""


def before(found: re.Match[str], chars: int = 32) -> str:
    """The characters before a match, but for those of a placeholder and what precedes it.

    A placeholder names its kind, and must not stand for the word that a second value needs.
    """
    text = found.string[max(found.start() - chars, 0) : found.start()]
    return _PLACEHOLDER.split(text)[-1] if ">" in text else text


def after(found: re.Match[str], chars: int = 32) -> str:
    """The characters behind a match, up to the next placeholder."""
    return found.string[found.end() : found.end() + chars].partition("<")[0]


@cache
def folded(*texts: str) -> tuple[Hint, ...]:
    """Hints in small letters, with 0 for every digit."""
    return tuple((FOLDED, _in_bytes(text)) for text in texts)


@cache
def bare(*texts: str) -> tuple[Hint, ...]:
    """Hints without letters, with 0 for every digit: the text without its letters is short.

    Runs of digits are looked for in the whole text, for digits between letters are none there.
    """
    return tuple((FOLDED if text.isdigit() else BARE, _in_bytes(text)) for text in texts)


@cache
def shapes(*texts: str) -> tuple[Hint, ...]:
    """Hints with 0 for every digit and `-` for a blank, a hyphen, a dot, a slash or a bracket."""
    return tuple((FOLDED if text.isdigit() else SHAPES, text) for text in texts)


@cache
def starts(*texts: str) -> tuple[Hint, ...]:
    """Three or more characters, as in `folded`, with which a token of 16 or more starts.

    A token holds letters, digits and `_/+.-`; four of its characters are looked at.
    """
    return tuple((STARTS, text[:4]) for text in texts)


@cache
def in_hex(*texts: str) -> tuple[Hint, ...]:
    """Hints in small letters, with f for every hexadecimal digit."""
    return tuple((HEX, text) for text in texts)


@cache
def in_runs(*texts: str) -> tuple[Hint, ...]:
    """Hints with w for every letter and digit."""
    return tuple((RUNS, text) for text in texts)


def _in_bytes(text: str) -> str:
    return text.encode().decode("latin-1")


class _Group(NamedTuple):
    """Entities whose hints are looked for at once."""

    min_digits: int
    max_chars: int
    needles: Needles
    members: tuple[tuple[int, Entity, tuple[Needles, ...]], ...]
    """Each with its place in the order, and with what it needs besides."""


class Entities(tuple[Entity, ...]):
    """Kinds of values, in the order in which they are looked for."""

    @cached_property
    def groups(self) -> tuple[_Group, ...]:
        """Those that share hints. Whatever is told by a token's start is one group."""
        together: dict[object, list[tuple[int, Entity]]] = {}
        for at, entity in enumerate(self):
            is_token = all(view == STARTS for view, _ in entity.hints)
            together.setdefault(STARTS if is_token else entity.hints, []).append((at, entity))
        return tuple(_group(members) for members in together.values())


def _group(members: list[tuple[int, Entity]]) -> _Group:
    needles = _needles(*(entity.hints for _, entity in members))
    besides = (
        (at, entity, tuple(n for n in map(_needles, (entity.hints, *entity.also)) if n != needles))
        for at, entity in members
    )
    return _Group(
        min(entity.min_digits for _, entity in members),
        max(entity.max_chars for _, entity in members),
        needles,
        tuple(besides),
    )


@cache
def _needles(*sets: tuple[Hint, ...]) -> Needles:
    by_view: dict[int, dict[str, None]] = {}
    for view, hint in chain(*sets):
        by_view.setdefault(view, {})[hint] = None
    return tuple(
        (view, frozenset(hints) if view == STARTS else tuple(hints))
        for view, hints in by_view.items()
    )


def scrub(
    text: str, entities: Iterable[Entity], salt: bytes, counts: Counter[str] | None = None
) -> str:
    """`text` with everything that is one of `entities` replaced.

    Args:
        entities: in the order in which they are looked for; `Entities` are quickest.
        counts: gains one by `Entity.kind` for each value replaced.
    """
    entities = entities if isinstance(entities, Entities) else Entities(entities)
    counts = Counter() if counts is None else counts
    before = None
    while text != before:
        before = text
        for entity in _likely(text, entities):  # a placeholder may part what was one word
            text = _with_replaced(text, entity, salt, counts)
    return text


def _likely(text: str, entities: Entities) -> list[Entity]:
    """Those whose hints the text holds, in their order."""
    views = _Views(text)
    num_digits = views[FOLDED].count("0")
    likely: list[tuple[int, Entity]] = []
    for min_digits, max_chars, needles, members in entities.groups:
        if num_digits >= min_digits and len(text) <= max_chars and views.hold(needles):
            likely += [
                (at, entity)
                for at, entity, besides in members
                if num_digits >= entity.min_digits
                and len(text) <= entity.max_chars
                and all(map(views.still_hold, besides))
            ]
    return [entity for _, entity in sorted(likely, key=itemgetter(0))]


class _Views(dict[int, Any]):
    """The text as hints want it, each view made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.plain = text.encode(errors="replace").translate(_TO_FOLDED)
        self[FOLDED] = self.plain.decode("latin-1")
        self.held: dict[int, bool] = {}

    def __missing__(self, number: int) -> View:
        view = self[number] = self._starts() if number == STARTS else self._made(number)
        return view

    def _made(self, number: int) -> str:
        plain = self.plain
        if number == BARE:
            view = plain.translate(None, _LETTERS)
        elif number == SHAPES:
            view = plain.translate(_TO_SHAPES, _NOT_IN_SHAPES)
        else:
            view = plain.translate(_TO_HEX if number == HEX else _TO_RUNS)
        return view.decode("latin-1")

    def _starts(self) -> frozenset[str]:
        runs = self.plain.translate(_TO_TOKEN_RUNS).decode("latin-1")
        at = runs.find(_LONG_TOKEN)
        if at < 0:
            return _NO_STARTS
        view, found = self[FOLDED], set()
        while at >= 0:
            found |= {view[at : at + 3], view[at : at + 4]}
            end = runs.find(" ", at)
            at = runs.find(_LONG_TOKEN, end) if end >= 0 else -1
        return frozenset(found)

    def hold(self, needles: Needles) -> bool:
        """Whether one of the hints is there. Strings are quicker to search than bytes."""
        for number, hints in needles:
            view = self[number]
            if number == STARTS:
                if not view.isdisjoint(hints):
                    return True
                continue
            for hint in hints:
                if hint in view:
                    return True
        return False

    def still_hold(self, needles: Needles) -> bool:
        """The same where it may be asked again; `_needles` makes equal ones once."""
        held = self.held.get(id(needles))
        if held is None:
            held = self.held[id(needles)] = self.hold(needles)
        return held


def _with_replaced(text: str, entity: Entity, salt: bytes, counts: Counter[str]) -> str:
    """`text` without the values of one entity."""
    replaced = partial(_replaced, entity=entity, salt=salt, counts=counts)
    if entity.places is None:
        return entity.pattern.sub(replaced, text)
    parts, end = [], 0
    for at in entity.places(text):
        if at >= end and (found := entity.pattern.match(text, at)) is not None:
            parts += [text[end:at], replaced(found)]
            end = found.end()
    return "".join([*parts, text[end:]]) if parts else text


def _replaced(found: re.Match[str], *, entity: Entity, salt: bytes, counts: Counter[str]) -> str:
    group: str | int = "value" if "value" in found.re.groupindex else 0
    is_done = f"<{entity.label}_" in found[group]
    if is_done or not entity.is_real(found):
        return found[0]
    counts[entity.kind] += 1
    value = entity.canonical(found[group])
    digest = hmac.new(salt, f"{entity.label}:{value}".encode(errors="replace"), hashlib.sha256)
    start, end = (at - found.start() for at in found.span(group))
    return f"{found[0][:start]}<{entity.label}_{digest.hexdigest()[:4]}>{found[0][end:]}"
