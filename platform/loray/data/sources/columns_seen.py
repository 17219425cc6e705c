"""What the columns of some rows hold, by their values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from loray.data.sources.decoding import Number, parse_json
from loray.data.sources.unnamed import PAIR_KEYS
from loray.spec.fields import OPENAI_KEYS, SHAREGPT_KEYS

ColumnKind = Literal[
    "text", "number", "messages", "sharegpt", "pairs", "alternating", "transcript", "history",
    "objects", "list", "object", "empty", "mixed",
]  # fmt: skip
CHATS: Mapping[str, Mapping[str, str]] = {
    "messages": {},
    "sharegpt": {"format": "sharegpt"},
    "pairs": {"format": "pairs"},
    "alternating": {"format": "alternating"},
    "transcript": {"format": "transcript"},
}
"""Kinds that are conversations, and what `fields` says of each beside the column."""
IN_WORDS: Mapping[str, str] = {
    "number": "numbers",
    "messages": "messages of role and content",
    "sharegpt": "messages of from and value",
    "pairs": "lists of {input, output}",
    "alternating": "lists of texts",
    "transcript": "transcripts of Human: and Assistant:",
    "history": "lists of [question, answer]",
    "objects": "lists of objects",
    "list": "lists",
    "object": "objects",
    "empty": "nothing",
    "mixed": "values of several kinds",
}
PAIR = 2
_TRANSCRIPT = re.compile(r"\s*Human:.*\n\nAssistant:", re.DOTALL)
_NUMERIC = re.compile(r"\s*-?\d+(\.\d+)?\s*")
_NAME_OF_ID = re.compile(
    r"(^|_|\b)(id|ids|uuid|guid|hash|sha\d*|url|uri|link|path|file|filename|date|time|timestamp|"
    r"created|updated|lang|language|locale|license|licence|split|version|index|idx)$|Id$|ID$"
)


@dataclass(frozen=True)
class ColumnSeen:
    """One column of the rows that were looked at."""

    name: str
    kind: ColumnKind
    num_values: int = 0
    """Values that are neither null nor empty."""
    num_distinct: int = 0
    mean_chars: float = 0.0
    is_word: bool = False
    """Whether no value has a blank in it."""
    is_numeric: bool = False
    """Whether all its texts are numbers, as those of CSV are."""

    @property
    def is_prose(self) -> bool:
        """Whether it may be a question, an answer or a text: no number, name or mark of a row."""
        if self.kind != "text" or self.is_numeric or _NAME_OF_ID.search(self.name):
            return False
        return self.num_values < PAIR or self.num_distinct > 1

    @property
    def is_mark(self) -> bool:
        """Whether it may be a mark of its row: one word, another one in every row."""
        return self.is_word and self.num_distinct == self.num_values

    @property
    def words(self) -> str:
        """What it holds, in words."""
        if self.kind != "text":
            return IN_WORDS[self.kind]
        if self.is_numeric:
            return "numbers"
        return f"text of {self.mean_chars:.0f} characters, {self.num_distinct} distinct"


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[ColumnSeen]:
    """The columns of some rows, in the order in which they come."""
    return [_seen(name, rows) for name in dict.fromkeys(name for row in rows for name in row)]


def _seen(name: str, rows: Sequence[Mapping[str, Any]]) -> ColumnSeen:
    values = [row[name] for row in rows if row.get(name) not in (None, "", [])]
    kinds = {_kind_of(value) for value in values}
    if kinds == {"transcript", "text"}:
        kinds = {"text"}
    kind = kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "empty"
    if kind != "text":
        return ColumnSeen(name, kind, len(values))
    return ColumnSeen(
        name,
        kind,
        len(values),
        len(set(values)),
        sum(map(len, values)) / len(values),
        not any(len(value.split()) > 1 for value in values),
        all(map(_NUMERIC.fullmatch, values)),
    )


def _kind_of(value: object) -> ColumnKind:
    if isinstance(value, bool | int | float | Number):
        return "number"
    if isinstance(value, str):
        inner = _parsed(value) if value.lstrip().startswith("[") else None
        if isinstance(inner, list) and inner and _of_list(inner) in CHATS:
            return _of_list(inner)
        return "transcript" if _TRANSCRIPT.match(value) else "text"
    if isinstance(value, list):
        return _of_list(value)
    return "object" if isinstance(value, dict) else "mixed"


def _of_list(value: Sequence[object]) -> ColumnKind:
    if all(isinstance(item, dict) for item in value):
        keys = [frozenset(item) for item in value if isinstance(item, dict)]
        for kind, (role, content) in (("messages", OPENAI_KEYS), ("sharegpt", SHAREGPT_KEYS)):
            if all(role in found for found in keys) and any(content in found for found in keys):
                return kind  # type: ignore[return-value]  # both are kinds
        return "pairs" if all(found == set(PAIR_KEYS) for found in keys) else "objects"
    if all(isinstance(item, list) and len(item) == PAIR for item in value):
        return "history"
    texts = [item for item in value if isinstance(item, str) and not isinstance(item, Number)]
    return "alternating" if len(texts) == len(value) else "list"


def _parsed(text: str) -> object:
    try:
        return parse_json(text)
    except ValueError:
        return None
