r"""Several columns of a source joined to one text: `"{instruction}{?\n\n{input}}"`.

    {name}      the text of that column; it must be there and not be blank
    {?...}      an optional part, left out where one of its columns is missing, null or blank
    {{  }}      a brace

A value without braces is the name of a column. A column whose own name holds a brace cannot be
named.
"""

import re
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r"\{\{|\}\}|\{\?|\{(?P<name>[^{}?][^{}]*)\}|[{}]|[^{}]+")


class Piece(NamedTuple):
    """A literal text, or the name of a column."""

    text: str
    is_column: bool


class Part(NamedTuple):
    """Pieces that are there together or not at all."""

    pieces: tuple[Piece, ...]
    is_optional: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, in their order."""
        return tuple(piece.text for piece in self.pieces if piece.is_column)


class Template(NamedTuple):
    """Parts that are joined without anything between them."""

    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    """The columns that it reads, in their order."""
    needed: tuple[str, ...]
    """Those of them that stand outside optional parts."""
    column: str | None
    """The column that it is and nothing else; None where there is more to it."""


@lru_cache(maxsize=256)
def template_of(value: str) -> Template:
    """The template that `value` is; the name of a column is one of a single piece.

    Raises:
        ValueError: a brace is never closed or never opened, or no column is named.
    """
    if "{" not in value and "}" not in value:
        return _template([Part((Piece(value, is_column=True),), is_optional=False)])
    parts: list[Part] = []
    pieces: list[Piece] = []
    is_inner = False
    for token in _TOKEN.finditer(value):
        if token[0] in ("{?", "{", "}"):
            if token[0] != ("}" if is_inner else "{?"):
                raise ValueError(_stray(value, token.start()))
            parts.append(_part(pieces, value, is_optional=is_inner))
            pieces, is_inner = [], not is_inner
        else:
            text = token["name"] or token[0].replace("{{", "{").replace("}}", "}")
            pieces.append(Piece(text, is_column=token["name"] is not None))
    if is_inner:
        raise ValueError(f"found {value!r}, whose optional part {{?...}} is never closed; close it")
    parts.append(_part(pieces, value, is_optional=False))
    template = _template([part for part in parts if part.pieces])
    if not template.columns:
        raise ValueError(f"found {value!r}, which names no column; wanted such as {{question}}")
    return template


def _template(parts: list[Part]) -> Template:
    columns = tuple(name for part in parts for name in part.columns)
    needed = tuple(name for part in parts if not part.is_optional for name in part.columns)
    is_one = len(parts) == 1 and len(parts[0].pieces) == 1 and bool(needed)
    return Template(tuple(parts), columns, needed, needed[0] if is_one else None)


def _part(pieces: list[Piece], value: str, *, is_optional: bool) -> Part:
    part = Part(tuple(pieces), is_optional)
    if is_optional and not part.columns:
        raise ValueError(f"found {value!r}, whose optional part names no column; take it out")
    return part


def _stray(value: str, at: int) -> str:
    return (
        f"found {value!r}, whose brace at character {at + 1} belongs to no column; wanted such as "
        "{question} or {?\\n\\n{context}}; write {{ or }} for a brace"
    )
