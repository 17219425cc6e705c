"""How rows can be read, by the names of their columns and what these hold.

Names that public sets use are known; of other rows with two columns of text, the first asks. What
else the columns could mean is told beside the likeliest reading, and a run never guesses.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from loray.data.sources.column_names import (
    BESIDE,
    CHAT_NAMES,
    LABELLED,
    LABELS,
    PAIRS,
    QUESTIONS,
    SPEAKERS,
    SYSTEMS,
    TEXTS,
    Fields,
    named,
    options,
)
from loray.data.sources.columns_seen import CHATS, ColumnSeen
from loray.data.sources.unclear import not_text, why_not
from loray.spec.fields import FieldsSpec
from loray.spec.yaml12 import flow_mapping

TWO = 2


@dataclass(frozen=True)
class Reading:
    """One way to read the rows."""

    fields: Fields
    note: str = ""
    """What to know of it: a sentence without its end."""
    is_guess: bool = False
    """Whether the names of the columns say nothing."""

    @property
    def columns(self) -> frozenset[str]:
        """Every column that it reads."""
        return frozenset(FieldsSpec(**self.fields).columns)  # type: ignore[arg-type]

    @property
    def options(self) -> str:
        """How the command line says it."""
        return options(self.fields)


@dataclass
class Readings:
    """What rows seem to be."""

    best: Reading | None = None
    others: list[Reading] = field(default_factory=list)
    """What they could mean as well."""
    why_not: str = ""
    """Why there is no reading: what was found, and what to do."""

    @property
    def written(self) -> str:
        """The likeliest fields as YAML has them, on one line."""
        return flow_mapping(self.best.fields if self.best else {})


def readings_of(columns: Sequence[ColumnSeen]) -> Readings:
    """How rows with such columns can be read."""
    usable = [column for column in columns if not {"{", "}"} & set(column.name)]
    found = [*_pairs(usable), *_chats(usable)]
    if not found:
        found = [*_labelled(usable)]
    if not found and not (why := not_text(usable)):
        found = [*_texts(usable)] or [*_two_texts(usable)]
    elif not found:
        return Readings(why_not=why)
    if not found:
        return Readings(why_not=why_not(columns))
    best, *others = (_with_more(reading, usable) for reading in found)
    if not best.is_guess:
        others = [reading for reading in others if not reading.columns <= best.columns]
    return Readings(best, others)


def _pairs(columns: Sequence[ColumnSeen]) -> Iterator[Reading]:
    """Pairs whose names are known."""
    for asked, answered in PAIRS:
        prompt, completion = named(columns, (asked,)), named(columns, (answered,))
        if prompt is None or completion is None:
            continue
        said = {prompt.kind, completion.kind}
        is_whole = prompt.kind == "text" != completion.kind  # a chat, its question included
        if is_whole or not said <= {"text", "messages", "sharegpt"}:
            continue
        fields = {"prompt": prompt.name, "completion": completion.name}
        beside = named(columns, BESIDE.get(asked, ()), "text", "empty")
        if beside is not None and beside is not completion and prompt.kind == "text":
            fields["prompt"] = f"{{{prompt.name}}}{{?\n\n{{{beside.name}}}}}"
        yield Reading(
            fields | ({"format": "sharegpt"} if "sharegpt" in said else {}),
            _preferred(columns) if answered == "chosen" else _judged(columns),
        )


def _chats(columns: Sequence[ColumnSeen]) -> Iterator[Reading]:
    """Columns of conversations, those of usual names first."""
    if any(c.kind == "pairs" for c in columns) and named(columns, QUESTIONS, "text"):
        columns = [c for c in columns if c.kind != "pairs"]  # each goes on with the question
    found = [c for c in columns if c.kind in CHATS and c.name != "rejected"]
    found = [c for c in found if c.kind != "alternating" or c.name.lower() in CHAT_NAMES]
    order = {name: at for at, name in enumerate((*CHAT_NAMES, "chosen"))}
    for column in sorted(found, key=lambda c: order.get(c.name.lower(), len(order))):
        fields = {"messages": column.name, **CHATS[column.kind]}
        yield Reading(fields, _preferred(columns) if column.name == "chosen" else "")


def _judged(columns: Sequence[ColumnSeen]) -> str:
    """What to know of a column that says whether an answer is good."""
    label = named(columns, ("label", "labels", "score", "rating"), "number")
    if label is None:
        return ""
    return f"{label.name!r} is not read: answers that it marks as bad are learned too"


def _preferred(columns: Sequence[ColumnSeen]) -> str:
    if named(columns, ("rejected",)) is None:
        return ""
    return "the rows are preference pairs; only the chosen answer is learned"


def _labelled(columns: Sequence[ColumnSeen]) -> Iterator[Reading]:
    """A text and the word for what it is."""
    texts = [c for c in columns if c.name.lower() in LABELLED and c.is_prose]
    labels = [c for c in columns if c.name.lower() in LABELS and c.kind == "text"]
    for text, label in product(texts, [c for c in labels if not c.is_numeric]):
        yield Reading({"prompt": text.name, "completion": label.name})


def _texts(columns: Sequence[ColumnSeen]) -> Iterator[Reading]:
    """A column of raw text."""
    text = named(columns, TEXTS, "text")
    is_message = named(columns, SPEAKERS) is not None
    others = [c for c in columns if c is not text and c.is_prose]
    if text is None or is_message or (text.num_values >= TWO and len(others) == 1):
        return
    note = "raw text is learned whole, and no other column with it" if len(columns) > 1 else ""
    yield Reading({"text": text.name}, note)


def _two_texts(columns: Sequence[ColumnSeen]) -> Iterator[Reading]:
    """Two columns of text under any names, or one."""
    prose = _telling([column for column in columns if column.is_prose])
    if named(columns, SPEAKERS) is not None:
        return
    if len(prose) == TWO:
        is_turned = _answers(prose[0]) > _asks(prose[0]) or _asks(prose[1]) > _answers(prose[1])
        first, second = (column.name for column in (prose[::-1] if is_turned else prose))
        is_told = any(_answers(column) != _asks(column) for column in prose)
        note = "the names say nothing: the first of two columns of text is taken for the question"
        yield Reading(
            {"prompt": first, "completion": second}, "" if is_told else note, is_guess=True
        )
        yield Reading({"prompt": second, "completion": first})
    elif len(prose) == 1 and len(columns) == 1:
        yield Reading({"text": prose[0].name}, "it is the only column: raw text, learned whole")


def _telling(prose: list[ColumnSeen]) -> list[ColumnSeen]:
    """Of more than two columns, those that are no marks of their row, or that their names name."""
    if len(prose) > TWO:
        prose = [column for column in prose if not column.is_mark]
    if len(prose) > TWO:
        told = [c for c in prose if _asks(c) != _answers(c)]
        if sum(map(_asks, told)) == 1 and sum(map(_answers, told)) == 1:
            return told
    return prose


def _asks(column: ColumnSeen) -> bool:
    return bool(_words(column) & {asked for asked, _ in PAIRS})


def _answers(column: ColumnSeen) -> bool:
    return bool(_words(column) & {answered for _, answered in PAIRS})


def _words(column: ColumnSeen) -> set[str]:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.name).lower()
    return set(re.split(r"[^a-z]+", parted))


def _with_more(reading: Reading, columns: Sequence[ColumnSeen]) -> Reading:
    """The same with the columns that go beside it."""
    fields = reading.fields
    if "text" in fields:
        return reading
    more = {"system": named(columns, SYSTEMS, "text", "empty")}
    if "prompt" in fields:
        more["history"] = named(columns, ("history",), "history", "empty")
    else:
        more["tools"] = named(columns, ("tools",))
    added = {name: column.name for name, column in more.items() if column is not None}
    return replace(reading, fields=fields | added)
