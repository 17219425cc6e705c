"""One record of a source to its turns, or to the reason why it has none.

Reasons: `malformed_json`, `not_an_object`, `duplicate_key`, `invalid_utf8`, `lone_surrogate`,
`missing_field`, `field_not_text`, `bad_messages`, `bad_tools`, `unknown_role`, `no_answer`,
`empty_prompt`, `empty_completion`, `empty_text`; from the readers also `line_too_long`,
`text_too_long`, `torn_stream`, `malformed_csv` and `wrong_number_of_fields`.

Nothing is guessed: what is learned must be text in the source. A number where text is wanted is a
rejected row, since nobody knows how it should be spelled; only a group may be a number, and then
it is its spelling in the file ("1.0" and "1" are two groups).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from loray.data.sources.decoding import (
    DECODER as _DECODER,
)
from loray.data.sources.decoding import (
    FaultError,
    NotANumber,
    Number,
    Twice,
    is_blank,
    kind_of,
    there_are,
)
from loray.data.sources.decoding import (
    value_of as _value,
)
from loray.data.sources.shapes import AS_MESSAGES, as_messages, filled, filled_or_none
from loray.models.markup import Turn
from loray.spec.sources import FieldsSpec

ROLES = frozenset({"system", "user", "assistant", "tool"})
TOOL_KEYS = ("tool_call_id", "name")
"""Of a tool's message, beside what it says: which call it answers."""
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


def turns_of(record: Mapping[str, Any], fields: FieldsSpec) -> list[Turn]:
    """The turns that a record holds.

    Raises:
        FaultError: a field is missing, is no text, is empty or stands twice.
    """
    messages = as_messages(record, fields)
    if messages is not None:
        turns = _messages(messages, AS_MESSAGES)
    elif fields.messages is not None:
        turns = _messages(record, fields)
    else:
        turns = _filled_turns(record, fields)
    for turn in turns:
        if is_blank(turn["content"]):
            raise FaultError(EMPTY_REASON[turn["role"]], f"the {turn['role']} turn is blank")
    return turns


def _filled_turns(record: Mapping[str, Any], fields: FieldsSpec) -> list[Turn]:
    """The turns of a record whose columns hold text."""
    if fields.text is not None:
        return [{"role": "text", "content": _written(filled(record, fields.text))}]
    system = None if fields.system is None else filled_or_none(record, fields.system)
    named = {"system": system, "user": fields.prompt, "assistant": fields.completion}
    said = {role: filled(record, name) for role, name in named.items() if name and role != "system"}
    if system is not None:
        said = {"system": system, **said}
    turns: list[Turn] = [{"role": role, "content": _written(text)} for role, text in said.items()]
    return [*_tools_turn(record, fields.tools), *turns]


def group_of(record: Mapping[str, Any], fields: FieldsSpec) -> str | None:
    """The value of the group's column; None when the spec names no column.

    Raises:
        FaultError: the column is missing, or neither text nor a number.
    """
    if fields.group is None:
        return None
    value = _value(record, fields.group)
    if value is None:
        raise FaultError(
            "missing_field", f"no value in column {fields.group!r}; {there_are(record)}"
        )
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FaultError(
            "field_not_text", f"column {fields.group!r} holds {kind_of(value)}; wanted text"
        )
    return _written(str(value))


def _turn(role: str, record: Mapping[str, Any], column: str) -> Turn:
    value = _value(record, column)
    if value is None:
        raise FaultError("missing_field")
    if not isinstance(value, str) or isinstance(value, Number):
        raise FaultError("field_not_text")
    return {"role": role, "content": _written(value)}


def _messages(record: Mapping[str, Any], fields: FieldsSpec) -> list[Turn]:
    messages = _value(record, fields.messages or "")
    if messages is None:
        raise FaultError(
            "missing_field", f"no value in column {fields.messages!r}; {there_are(record)}"
        )
    is_list = isinstance(messages, Sequence) and not isinstance(messages, str)
    if not is_list or not all(isinstance(message, dict) for message in messages):
        raise FaultError("bad_messages")
    turns = [turn for message in messages for turn in _turns_of_message(message)]
    if not any(turn["role"] in ("assistant", "calls") for turn in turns):
        raise FaultError("no_answer")
    return [*_tools_turn(record, fields.tools), *turns]


def _turns_of_message(message: Mapping[str, Any]) -> list[Turn]:
    """One turn, or two where an assistant says something and calls tools."""
    role, calls = _role(message), _value(message, "tool_calls")
    if role == "tool":
        said = _turn(role, message, "content")["content"]
        more = {key: message[key] for key in TOOL_KEYS if message.get(key) is not None}
        return [{"role": role, "content": _written(as_json({"content": said, **more}))}]
    if role != "assistant" or calls in (None, []):
        return [_turn(role, message, "content")]
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise FaultError("bad_tools")
    called: Turn = {"role": "calls", "content": _written(as_json(calls))}
    is_silent = _value(message, "content") in (None, "")
    return [called] if is_silent else [_turn(role, message, "content"), called]


def _tools_turn(record: Mapping[str, Any], column: str | None) -> list[Turn]:
    """The definitions of a row that brings any: a list of objects, or its JSON text."""
    tools = None if column is None else _value(record, column)
    if isinstance(tools, str) and not isinstance(tools, Number):
        tools = _parsed_tools(tools)
    if tools in (None, []):
        return []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise FaultError("bad_tools")
    return [{"role": "tools", "content": _written(as_json(tools))}]


def _parsed_tools(text: str) -> Any:  # noqa: ANN401 (JSON)
    try:
        return _DECODER.decode(text) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise FaultError("bad_tools") from error


def as_json(value: Any) -> str:  # noqa: ANN401 (JSON)
    """JSON of a decoded value, its numbers as they were spelled.

    Raises:
        FaultError: a key in it stands twice.
    """
    match value:
        case Number():
            return str(value)
        case Twice():
            raise FaultError("duplicate_key")
        case NotANumber():
            raise FaultError("malformed_json", "NaN or Infinity, which JSON does not have")
        case dict():
            pairs = (f"{as_json(str(key))}: {as_json(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list():
            return f"[{', '.join(map(as_json, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _role(message: Mapping[str, Any]) -> str:
    role = _value(message, "role")
    if not isinstance(role, str):
        raise FaultError("bad_messages")
    if role not in ROLES:
        raise FaultError("unknown_role")
    return role


def _written(text: str) -> str:
    """`text`, provided that it can be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FaultError("lone_surrogate") from error
    return text
