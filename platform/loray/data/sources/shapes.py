"""The shapes of rows that public datasets have, as turns or as messages of `role` and `content`.

Columns of text are filled into templates. Conversations under other keys and role names, messages
in the columns of a pair, a system column and a history become one list of messages, which
`loray.data.sources.records` reads as it reads any other.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from loray.data.sources.decoding import (
    FaultError,
    Number,
    is_blank,
    kind_of,
    parse_json,
    there_are,
    value_of,
)
from loray.data.sources.unnamed import in_turn, messages_of_transcript, of_pairs
from loray.spec.column_templates import Part, template_of
from loray.spec.fields import OPENAI_KEYS, UNNAMED, FieldsSpec

NOT_LEARNED = Number("0")
"""The weight of an answer that is context."""
PAIR = 2

Record = Mapping[str, Any]


def filled(record: Record, value: str) -> str:
    """The text of a column, or of a template of columns.

    Returns:
        a blank text where a column that must not be blank is.

    Raises:
        FaultError: a column is missing, or holds no text.
    """
    template = template_of(value)
    if template.column is not None:
        return _text(record, template.column)
    if any(is_blank(_text(record, name)) for name in template.needed):
        return ""
    return "".join(_filled_part(record, part) for part in template.parts)


def filled_or_none(record: Record, value: str) -> str | None:
    """The same; None where nothing is there, or a column that it needs is missing or empty."""
    if any(value_of(record, name) in (None, "") for name in template_of(value).needed):
        return None
    return filled(record, value) or None


def as_messages(record: Record, fields: FieldsSpec) -> list[Any] | None:
    """The messages of a record, under the names that we use; None where its columns hold text.

    Raises:
        FaultError: what should be messages is something else.
    """
    if fields.messages is not None:
        listed = value_of(record, fields.messages)
        if listed is None:
            raise FaultError(
                "missing_field", f"no value in column {fields.messages!r}; {there_are(record)}"
            )
        messages = _respelled(listed, fields.messages, fields)
    elif fields.text is not None or not _holds_messages(record, fields):
        return None
    else:
        messages = _of_pair(record, fields)
    return [*_system(record, fields), *messages] if fields.system is not None else messages


def _filled_part(record: Record, part: Part) -> str:
    if part.is_optional:
        values = [value_of(record, name) for name in part.columns]
        if any(value is None or (isinstance(value, str) and is_blank(value)) for value in values):
            return ""
    return "".join(
        _text(record, piece.text) if piece.is_column else piece.text for piece in part.pieces
    )


def _text(record: Record, column: str) -> str:
    value = value_of(record, column)
    if value is None:
        raise FaultError("missing_field", f"no value in column {column!r}; {there_are(record)}")
    if not isinstance(value, str) or isinstance(value, Number):
        raise FaultError("field_not_text", f"column {column!r} holds {kind_of(value)}; wanted text")
    return value


def _system(record: Record, fields: FieldsSpec) -> list[Any]:
    value = fields.system or ""
    column = template_of(value).column
    blocks = None if column is None else value_of(record, column)
    if isinstance(blocks, list):
        return [{"role": "system", "content": blocks}] if blocks else []
    said = filled_or_none(record, value)
    return [] if said is None else [{"role": "system", "content": said}]


def _holds_messages(record: Record, fields: FieldsSpec) -> bool:
    """Whether a pair is more than two texts."""
    for value in (fields.prompt, fields.completion):
        column = template_of(value).column if value else None
        if column is not None and _are_messages(record.get(column)):
            return True
    return fields.history is not None and value_of(record, fields.history) not in (None, [], "")


def _are_messages(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(m, dict) for m in value)


def _of_pair(record: Record, fields: FieldsSpec) -> list[Any]:
    asked = _side(record, fields.prompt or "", "user", fields)
    answered = _side(record, fields.completion or "", "assistant", fields)
    if not any(isinstance(m, dict) and m.get("role") == "assistant" for m in answered):
        raise FaultError(
            "no_answer", f"{fields.completion!r} holds no message of an assistant; wanted one"
        )
    first = next(
        (m for m in answered if not isinstance(m, dict) or m.get("role") != "system"), None
    )
    if isinstance(first, dict) and first.get("role") == "user" and _same(first, asked[-1]):
        raise FaultError(
            "bad_messages",
            f"{fields.completion!r} begins with the question that {fields.prompt!r} holds, which "
            f"would stand twice; it is a whole conversation: fields: {{messages: "
            f"{fields.completion}}}",
        )
    return [*_history(record, fields.history), *map(_as_context, asked), *answered]


def _same(message: Mapping[str, Any], other: Any) -> bool:  # noqa: ANN401 (JSON)
    return isinstance(other, dict) and message.get("content") == other.get("content")


def _as_context(message: Any) -> Any:  # noqa: ANN401 (JSON)
    """A message of the prompt; an answer among them is not what the row teaches."""
    is_answer = isinstance(message, dict) and message.get("role") == "assistant"
    return {"weight": NOT_LEARNED, **message} if is_answer else message


def _side(record: Record, value: str, role: str, fields: FieldsSpec) -> list[Any]:
    """One side of a pair: its messages, or its text as one."""
    column = template_of(value).column
    if column is not None:
        found = value_of(record, column)
        if _are_messages(found):
            return _respelled(found, column, fields)
    return [{"role": role, "content": filled(record, value)}]


def _history(record: Record, column: str | None) -> Iterator[dict[str, str]]:
    """Earlier turns: each a question and its answer."""
    found = None if column is None else value_of(record, column)
    if isinstance(found, str) and not isinstance(found, Number):
        found = _parsed(found, column)
    if found in (None, []):
        return
    wanted = f"column {column!r} holds {kind_of(found)}; wanted a list of [question, answer]"
    if not isinstance(found, list):
        raise FaultError("bad_messages", wanted)
    for turns in found:
        if not (isinstance(turns, list) and len(turns) == PAIR and all(map(_is_text, turns))):
            raise FaultError("bad_messages", f"{wanted}, each a text")
        yield {"role": "user", "content": turns[0]}
        yield {"role": "assistant", "content": turns[1]}


def _respelled(found: object, column: str, fields: FieldsSpec) -> list[Any]:
    """Messages under the keys `role` and `content`, roles by the names that we use."""
    if fields.format == "transcript":
        return messages_of_transcript(found, column)
    if _is_text(found):
        found = _parsed(str(found), column)
    if not isinstance(found, list):
        raise FaultError(
            "bad_messages", f"column {column!r} holds {kind_of(found)}; wanted a list of messages"
        )
    if not fields.is_respelled:
        return found
    if fields.format in UNNAMED:
        said = in_turn(found) if fields.format == "alternating" else of_pairs(found)
        return list(said)
    keys, role_of = fields.message_keys, fields.role_of
    return [_message(message, keys, role_of) for message in found]


def _message(message: object, keys: tuple[str, str], role_of: Mapping[str, str]) -> dict[str, Any]:
    role_key, content_key = keys
    if not isinstance(message, dict):
        raise FaultError("bad_messages", f"found {kind_of(message)} as a message")
    name = value_of(message, role_key)
    if not _is_text(name):
        raise FaultError(
            "bad_messages", f"a message has no text in {role_key!r}; {there_are(message)}"
        )
    role = role_of.get(str(name))
    if role is None:
        raise FaultError(
            "unknown_role", f"found {str(name)[:64]!r}; wanted one of {sorted(role_of)}"
        )
    others = {key: value for key, value in message.items() if key not in keys}
    if stray := [key for key in OPENAI_KEYS if others.get(key) is not None]:
        raise FaultError(
            "bad_messages", f"a message has {stray[0]!r} beside {role_key!r}; wanted one of them"
        )
    content = value_of(message, content_key)
    if role == "calls":
        return {**others, "role": "assistant", "content": None, "tool_calls": _calls(content)}
    return {**others, "role": role, "content": content}


def _calls(content: object) -> list[dict[str, Any]]:
    """What an assistant calls, from its JSON: one object of `name` and `arguments`, or several."""
    wanted = "wanted the JSON of a call, {name, arguments}, or of a list of them"
    if _is_text(content):
        try:
            content = parse_json(str(content))
        except ValueError as error:
            raise FaultError("bad_tools", f"a call is no JSON ({error}); {wanted}") from error
    calls = [content] if isinstance(content, dict) else content
    if not isinstance(calls, list) or not calls or not all(map(_is_call, calls)):
        raise FaultError("bad_tools", f"a call is {kind_of(content)}; {wanted}")
    return [
        call if "function" in call else {"type": "function", "function": call} for call in calls
    ]


def _is_call(call: object) -> bool:
    return isinstance(call, dict) and bool(call.keys() & {"name", "function"})


def _parsed(text: str, column: str | None) -> Any:  # noqa: ANN401 (JSON)
    try:
        return parse_json(text)
    except ValueError as error:
        raise FaultError(
            "bad_messages", f"column {column!r} holds text that is no JSON ({error})"
        ) from error


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)
