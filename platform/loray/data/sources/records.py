"""One record of a source to its turns, or to the reason why it has none.

Reasons: `malformed_json`, `not_an_object`, `duplicate_key`, `invalid_utf8`, `lone_surrogate`,
`missing_field`, `field_not_text`, `empty_prompt`, `empty_completion`, `empty_text`; those of
messages and tools (`loray.data.sources.messages`); from the readers also `line_too_long`,
`text_too_long`, `torn_stream`, `malformed_csv` and `wrong_number_of_fields`.

Nothing is guessed: what is learned must be text in the source. A number where text is wanted is a
rejected row, since nobody knows how it should be spelled; only a group may be a number, and then
it is its spelling in the file ("1.0" and "1" are two groups).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from loray.data.sources.decoding import FaultError, is_blank, kind_of, there_are, value_of
from loray.data.sources.messages import turns_of_messages, written
from loray.data.sources.shapes import as_messages, filled, filled_or_none
from loray.data.sources.tool_calls import Tools, tools_of
from loray.models.markup import Turn
from loray.spec.fields import FieldsSpec

EMPTY_REASON = {
    "system": "empty_prompt",
    "user": "empty_prompt",
    "assistant": "empty_completion",
    "tool": "empty_prompt",
    "text": "empty_text",
}


class Found(NamedTuple):
    """What a reader finds at one place of a file."""

    number: int
    """1-based, of its first line within the part that is read; of the row, in a Parquet file."""
    position: int
    """In the file, whatever its parts: bytes of the text, or rows of a Parquet file."""
    record: Mapping[str, Any] | FaultError
    raw: bytes
    """As it is written, for the quarantine."""


class Reading(NamedTuple):
    """What a record says."""

    turns: list[Turn]
    is_wrapped: bool = False
    """Whether definitions of tools were put into the form that clients send."""


def turns_of(record: Mapping[str, Any], fields: FieldsSpec) -> list[Turn]:
    """The turns that a record holds.

    Raises:
        FaultError: a field is missing, is no text, is empty or stands twice.
    """
    return read_record(record, fields).turns


def read_record(record: Mapping[str, Any], fields: FieldsSpec) -> Reading:
    """The same, and what was done to them.

    Raises:
        FaultError: as `turns_of`.
    """
    messages = as_messages(record, fields)
    if messages is None:
        tools, turns = _tools_of(record, fields), _filled_turns(record, fields)
    else:
        turns = turns_of_messages(messages, left_out=fields.keys.leave_out)
        tools = _tools_of(record, fields)
    if tools is not None:
        turns = [_said("tools", tools.text), *turns]
    for turn in turns:
        if is_blank(turn["content"]):
            raise FaultError(EMPTY_REASON[turn["role"]], f"the {turn['role']} turn is blank")
    return Reading(turns, tools is not None and tools.is_wrapped)


def _filled_turns(record: Mapping[str, Any], fields: FieldsSpec) -> list[Turn]:
    """The turns of a record whose columns hold text."""
    if fields.text is not None:
        return [_said("text", filled(record, fields.text))]
    turns = []
    system = None if fields.system is None else filled_or_none(record, fields.system)
    if system is not None:
        turns.append(_said("system", system))
    turns.append(_said("user", filled(record, fields.prompt or "")))
    turns.append(_said("assistant", filled(record, fields.completion or "")))
    return turns


def _said(role: str, text: str) -> Turn:
    return {"role": role, "content": written(text)}


def group_of(record: Mapping[str, Any], fields: FieldsSpec) -> str | None:
    """The value of the group's column; None when the spec names no column.

    Raises:
        FaultError: the column is missing, or neither text nor a number.
    """
    if fields.group is None:
        return None
    value = value_of(record, fields.group)
    if value is None:
        raise FaultError(
            "missing_field", f"no value in column {fields.group!r}; {there_are(record)}"
        )
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FaultError(
            "field_not_text", f"column {fields.group!r} holds {kind_of(value)}; wanted text"
        )
    return written(str(value))


def _tools_of(record: Mapping[str, Any], fields: FieldsSpec) -> Tools | None:
    """The definitions of a row that brings any."""
    return None if fields.tools is None else tools_of(value_of(record, fields.tools))
