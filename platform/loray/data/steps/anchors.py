"""Where a pattern may begin, told by short words that stand near the start of all its matches.

A search by a pattern of many words looks at every character; a search for one plain word does not.
A place too many costs a little time, one too few would hide a match.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TypeAlias

Places: TypeAlias = Callable[[str], Iterable[int]]
"""From a text to places in it, in order."""
OTHER_CASES = "\u0130\u0131\u017f\u212a"
"""Characters that are `i`, `s` or `k` to a pattern that ignores case."""
SCHEME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-")
LONGEST_SCHEME = 21


def at_words(heads_of: Mapping[str, tuple[str, ...]]) -> Places:
    """Places of words in any case.

    Args:
        heads_of: for each word what may stand before it, where matches begin; "" for nothing.
    """
    anchors = [
        (word, tuple(filter(None, heads)), "" in heads, max(map(len, heads)))
        for word, heads in heads_of.items()
    ]

    def places(text: str) -> Iterable[int]:
        view = _folded(text)
        if view is None:
            return range(len(text))
        found: set[int] = set()
        for word, heads, is_start, longest in anchors:
            for at in _all(view, word):
                if is_start:
                    found.add(at)
                if heads and (before := view[max(at - longest, 0) : at]).endswith(heads):
                    found.update(at - len(head) for head in heads if before.endswith(head))
        return sorted(found)

    return places


def at_schemes(text: str) -> Iterable[int]:
    """Places from which a scheme may reach to `://`."""
    return chain.from_iterable(_scheme_places(text, at) for at in _all(text, "://"))


def at_matches(pattern: str) -> Places:
    """Places of a plainer pattern."""
    compiled = re.compile(pattern)
    return lambda text: (found.start() for found in compiled.finditer(text))


def _scheme_places(text: str, end: int) -> range:
    start = end
    while start > max(end - LONGEST_SCHEME, 0) and text[start - 1] in SCHEME_CHARS:
        start -= 1
    return range(start, end)


def _all(text: str, word: str) -> Iterable[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _folded(text: str) -> str | None:
    """The text in small letters, each in its place, `?` for what is not in Latin-1.

    None where a character of another script may be one of the Latin letters.
    """
    if text.isascii():
        return text.lower()
    if any(map(text.__contains__, OTHER_CASES)):
        return None
    return text.encode("latin-1", "replace").lower().decode("latin-1")
