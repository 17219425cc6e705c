"""Values in one text, replaced by typed placeholders such as `<EMAIL_1f3a>`.

A kind of value is found in three moves, the cheapest first: hints (bytes, one of which every text
with such a value holds), a pattern, and a check behind the pattern. Most texts hold no hint.
Patterns take time linear in a text: what repeats is bounded, or cannot be split in two ways.

A placeholder's digits are a salted hash of the value, so that one value keeps one placeholder
within a dataset and nobody can look it up. No pattern matches a placeholder, and a text is gone
over until nothing more is found, so scrubbing twice changes nothing.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias

Hint: TypeAlias = tuple[int, bytes]
"""Number of a view on the text, and bytes to look for in it."""
View: TypeAlias = bytes | set[bytes]
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
_TO_TOKENS = bytes(at if chr(at) in "abcdefghijklmnopqrstuvwxyz0_/+.-" else 32 for at in range(256))
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
    max_chars: int | None = None
    """Longest text that it is looked for in."""


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
    return tuple((FOLDED, text.encode()) for text in texts)


@cache
def bare(*texts: str) -> tuple[Hint, ...]:
    """Hints without letters, with 0 for every digit: the text without its letters is short.

    Runs of digits are looked for in the whole text, for digits between letters are none there.
    """
    return tuple((FOLDED if text.isdigit() else BARE, text.encode()) for text in texts)


@cache
def shapes(*texts: str) -> tuple[Hint, ...]:
    """Hints with 0 for every digit and `-` for a blank, a hyphen, a dot, a slash or a bracket."""
    return tuple((FOLDED if text.isdigit() else SHAPES, text.encode()) for text in texts)


@cache
def starts(*texts: str) -> tuple[Hint, ...]:
    """Three or more characters, as in `folded`, with which a token of 16 or more starts.

    A token holds letters, digits and `_/+.-`; four of its characters are looked at.
    """
    return tuple((STARTS, text[:4].encode()) for text in texts)


@cache
def in_hex(*texts: str) -> tuple[Hint, ...]:
    """Hints with in small letters, with f for every hexadecimal digit."""
    return tuple((HEX, text.encode()) for text in texts)


@cache
def in_runs(*texts: str) -> tuple[Hint, ...]:
    """Hints with w for every letter and digit."""
    return tuple((RUNS, text.encode()) for text in texts)


def scrub(
    text: str, entities: Iterable[Entity], salt: bytes, counts: Counter[str] | None = None
) -> str:
    """`text` with everything that is one of `entities` replaced.

    Args:
        entities: in the order in which they are looked for.
        counts: gains one by `Entity.kind` for each value replaced.
    """
    likely = _likely(text, entities)
    if not likely:
        return text
    counts = Counter() if counts is None else counts
    before = None
    while text != before:
        before = text
        for entity in likely:
            replaced = partial(_replaced, entity=entity, salt=salt, counts=counts)
            text = entity.pattern.sub(replaced, text)
    return text


def _likely(text: str, entities: Iterable[Entity]) -> list[Entity]:
    """Those whose hints the text holds. Entities share hints, so each set is looked for once."""
    views = _Views()
    views[FOLDED] = text.encode(errors="replace").translate(_TO_FOLDED)
    num_digits = views[FOLDED].count(b"0")
    known: dict[int, bool] = {}
    likely = []
    for entity in entities:
        if num_digits < entity.min_digits:
            continue
        hints = entity.hints
        held = known.get(id(hints))
        if held is None:
            held = known[id(hints)] = _may_hold(views, hints)
        if held and _is_likely(text, entity, views):
            likely.append(entity)
    return likely


def _is_likely(text: str, entity: Entity, views: "_Views") -> bool:
    is_short = entity.max_chars is None or len(text) <= entity.max_chars
    return is_short and all(_may_hold(views, hints) for hints in entity.also)


class _Views(dict[int, Any]):
    """The text as hints want it, each view made when it is first asked for."""

    def __missing__(self, number: int) -> View:
        plain: bytes = self[FOLDED]
        view: View
        if number == BARE:
            view = plain.translate(None, _LETTERS)
        elif number == SHAPES:
            view = plain.translate(_TO_SHAPES, _NOT_IN_SHAPES)
        elif number == STARTS:
            tokens = [w for w in plain.translate(_TO_TOKENS).split() if len(w) >= LEAST_TOKEN]
            view = {w[:3] for w in tokens} | {w[:4] for w in tokens}
        else:
            view = plain.translate(_TO_HEX if number == HEX else _TO_RUNS)
        self[number] = view
        return view


def _may_hold(views: _Views, hints: tuple[Hint, ...]) -> bool:
    for view, hint in hints:  # noqa: SIM110 - half the time of any()
        if hint in views[view]:
            return True
    return False


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
