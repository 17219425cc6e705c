"""Why columns say nothing of how rows are to be read, and what to do about it."""

from collections.abc import Sequence

from loray.data.sources.column_names import LABELS, PAIRS, QUESTIONS, SPEAKERS, named, options
from loray.data.sources.columns_seen import CHATS, ColumnSeen


def not_text(columns: Sequence[ColumnSeen]) -> str:
    """Why a column that by its name is an answer or a question is neither."""
    for column in columns:
        is_number = column.kind == "number" or column.is_numeric
        if column.name.lower() in LABELS and is_number and _any_prose(columns):
            return (
                f"column {column.name!r} holds numbers; wanted words, since a model learns what "
                "text says; write each label's name in its place"
            )
    asked, lists = named(columns, QUESTIONS, "text"), ("pairs", "objects")
    beside = next((column for column in columns if column.kind in lists), None)
    if beside is not None and (asked is not None or _any_prose(columns)):
        what = f" beside the text of {asked.name!r}" if asked else ""
        return (
            f"column {beside.name!r} holds {beside.words}{what}, which no `fields` says; write a "
            "row for each, with its texts in columns, or name other columns"
        )
    known = {name for pair in PAIRS for name in pair}
    for column in columns:
        if column.name.lower() in known and column.kind not in ("text", "empty", *CHATS):
            return (
                f"column {column.name!r} holds {column.words}; wanted text or messages; write the "
                "text into a column of its own, or name other columns"
            )
    return ""


def _any_prose(columns: Sequence[ColumnSeen]) -> bool:
    return any(column.is_prose for column in columns)


def why_not(columns: Sequence[ColumnSeen]) -> str:
    """Why no reading of rows with such columns was found."""
    prose = [column.name for column in columns if column.is_prose]
    if named(columns, SPEAKERS) is not None:
        return (
            "a row seems to be one message, not a conversation; write the messages of each "
            "conversation into one row: {messages: [{role: .., content: ..}, ..]}"
        )
    braces = [column.name for column in columns if {"{", "}"} & set(column.name)]
    if braces:
        return f"the name of column {braces[0]!r} holds a brace; rename it"
    if not prose:
        return _no_prose(columns)
    if len(prose) == 1:
        rest = ", ".join(f"{c.name} holds {c.words}" for c in columns if c.name != prose[0])
        return (
            f"only {prose[0]!r} holds text that could be learned ({rest}); wanted a question and "
            "an answer; write the other's text into a column, or learn this one whole: "
            f"{options({'text': prose[0]})}"
        )
    example = options({"prompt": prose[0], "completion": prose[-1]})
    return (
        f"{len(prose)} columns hold text ({', '.join(prose[:8])}), and the names do not say "
        f"which asks and which answers; name them, such as: {example}"
    )


def _no_prose(columns: Sequence[ColumnSeen]) -> str:
    if all(column.kind in ("objects", "object") for column in columns):
        return (
            f"column {columns[0].name!r} holds objects; if these are the rows, write them as one "
            "list, or a row a line"
        )
    said = next((column.name for column in columns if column.kind == "objects"), None)
    if said is not None:
        return (
            f"column {said!r} holds lists of objects under names that are not known; if these are "
            "conversations, write the spec without --data, and `keys` and `roles` in its `fields`"
        )
    return "no column holds text that could be learned; write the text into a column"
