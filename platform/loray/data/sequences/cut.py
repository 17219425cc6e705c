"""Raw text cut into pieces that fit a training sequence, at line ends where there are any."""

from collections.abc import Iterator
from typing import NamedTuple

from loray.models.markup import Markup, Tokens

CHUNK_CHARS = 1 << 18
"""Longer texts are tokenized a chunk at a time, which bounds the memory that takes."""


class Piece(NamedTuple):
    """A part of a text; the pieces of a text, one after another, are the text."""

    text: str
    input_ids: list[int]
    """With the tokenizer's opening token before, and EOS after the last piece of a text."""
    is_last: bool


def cut_text(text: str, markup: Markup, max_tokens: int) -> list[Piece]:
    """The pieces of a text, each of at most `max_tokens` tokens with opening and EOS."""
    opening = list(markup.opening)
    budget = max_tokens - len(opening) - 1
    parts = [part for chunk in _chunks(text) for part in _parts(chunk, markup.plain(chunk), budget)]
    last = len(parts) - 1
    return [
        Piece(part, [*opening, *ids, *([markup.eos] if at == last else [])], at == last)
        for at, (part, ids) in enumerate(parts)
    ]


def _chunks(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > CHUNK_CHARS:
        end = text.rfind("\n", start, start + CHUNK_CHARS) + 1 or start + CHUNK_CHARS
        yield text[start:end]
        start = end
    yield text[start:]


def _parts(text: str, tokens: Tokens, budget: int) -> Iterator[tuple[str, list[int]]]:
    first = begin = 0
    while len(tokens.ids) - first > budget:
        cut = _best_cut(text, tokens.starts, first, first + budget)
        end = tokens.starts[cut]
        yield text[begin:end], tokens.ids[first:cut]
        first, begin = cut, end
    yield text[begin:], tokens.ids[first:]


def _best_cut(text: str, starts: list[int], first: int, limit: int) -> int:
    """The token before which to cut: after a newline, else before a word, else where it must be.

    Only the last quarter of the piece is searched, so that pieces stay long.
    """
    latest = range(limit, limit - (limit - first) // 4 - 1, -1)
    between_characters = [at for at in latest if at > first and starts[at - 1] < starts[at]]
    for is_good in (_follows_newline, _precedes_word):
        for at in between_characters:
            if is_good(text, starts[at]):
                return at
    return between_characters[0] if between_characters else limit


def _follows_newline(text: str, at: int) -> bool:
    return text[at - 1] == "\n"


def _precedes_word(text: str, at: int) -> bool:
    return text[at].isspace() or text[at - 1].isspace()
