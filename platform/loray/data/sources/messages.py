"""Messages of a conversation to turns: every key is used, or the row has a reason.

Read are OpenAI's format, with tools, reasoning, names and weights, its older `function_call`, and
Anthropic's blocks of content. `loray.models.tool_use` says what turns a message becomes.

Null, an empty list, an empty object and an empty text say nothing, under any key. The `index` of a
call is its place; an Anthropic block's `cache_control` and `signature` are for its API.

Reasons: `bad_messages`, `unknown_role`, `unknown_message_field`, `content_not_text`,
`missing_field`, `field_not_text`, `lone_surrogate`, `duplicate_key`, `no_answer`, and those of
`loray.data.sources.tool_calls`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from loray.data.sources.decoding import FaultError, Number, is_blank, kind_of, there_are, value_of
from loray.data.sources.tool_calls import as_json, calls_of, check_keys, says_nothing
from loray.models.markup import Turn

ROLE_OF = {
    **{role: role for role in ("system", "user", "assistant", "tool")},
    "developer": "system",
    "function": "tool",
}
"""Names of OpenAI's format, by what they are."""
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
COMMON_KEYS = frozenset({"role", "content", "name"})
KEYS = {
    "system": COMMON_KEYS,
    "user": COMMON_KEYS | {"weight"},
    "assistant": COMMON_KEYS
    | {"weight", "refusal", "tool_calls", "function_call"}
    | frozenset(REASONING_KEYS),
    "tool": COMMON_KEYS | {"tool_call_id"},
}
BLOCK_KEYS = {
    "text": ("text",),
    "input_text": ("text",),
    "output_text": ("text",),
    "refusal": ("refusal",),
    "thinking": ("thinking", "signature"),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id", "content"),
}
"""Kinds of content that are text, and what each holds; others are pictures, sounds, files."""
ORDER = {"tool_result": 0, "thinking": 1, "tool_use": 3}
"""Of blocks in a message, 2 for text: a template writes reasoning, text and calls in this order."""
LEARNED = {"0": False, "0.0": False, "1": True, "1.0": True}


class _Content(NamedTuple):
    """What the content of a message holds."""

    text: str | None = None
    reasoning: str | None = None
    calls: tuple[Any, ...] = ()
    results: tuple[Mapping[str, Any], ...] = ()


def turns_of_messages(messages: object, *, left_out: Collection[str] = ()) -> list[Turn]:
    """The turns of a list of messages.

    Args:
        left_out: keys of messages that the spec says to leave out.

    Raises:
        FaultError: a message cannot be learned as it is; the note says which one, and why.
    """
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise FaultError("bad_messages", f"found {kind_of(messages)}; wanted a list of messages")
    turns: list[Turn] = []
    num_learned = 0
    for number, message in enumerate(messages, start=1):
        try:
            role = _role(message)
            check_keys(message, KEYS[role] | frozenset(left_out))
            found = list(_turns_of(role, message))
        except FaultError as fault:
            note = f"message {number}: {fault.note or 'it cannot be read'}"
            raise FaultError(str(fault), note) from fault
        turns += found
        num_learned += role == "assistant" and _is_learned(message)
    if not num_learned:
        raise FaultError("no_answer", "no message of an assistant that is to be learned; add one")
    return turns


def without_padding(value: Any) -> Any:  # noqa: ANN401 (Arrow's values)
    """A value without the nulls that only pad structs.

    Arrow gives every struct of a column the keys of all the others, as null. In such a file a
    null that was meant cannot be told from them; in JSON it can, and stays.
    """
    if isinstance(value, dict):
        return {key: without_padding(item) for key, item in value.items() if item is not None}
    return [without_padding(item) for item in value] if isinstance(value, list) else value


def written(text: str) -> str:
    """`text`, provided that it can be written as UTF-8.

    Raises:
        FaultError: it holds half a pair of surrogates.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FaultError("lone_surrogate", "half a surrogate pair; wanted text") from error
    return text


def _turns_of(role: str, message: Mapping[str, Any]) -> Iterator[Turn]:
    content = _content_of(value_of(message, "content"), role)
    match role:
        case "tool":
            yield _tool_turn(message, content)
        case "assistant":
            yield from _answer_turns(message, content)
        case _:
            for result in content.results:
                yield _turn("tool", as_json(result))
            if content.text is not None:
                yield from _about(message)
                yield _turn(role, content.text)
            elif not content.results:
                raise FaultError("missing_field", f"no content; {there_are(message)}")


def _answer_turns(message: Mapping[str, Any], content: _Content) -> Iterator[Turn]:
    yield from _about(message, **({} if _is_learned(message) else {"weight": 0}))
    reasoning = _reasoning(message, content.reasoning)
    if reasoning is not None:
        yield _turn("reasoning", reasoning)
    calls = calls_of(message, content.calls)
    text = _answer(message, content.text)
    if text is not None and not (calls and is_blank(text)):
        yield _turn("assistant", text)
    elif not calls:
        raise FaultError("missing_field", f"no content; {there_are(message)}")
    if calls:
        yield _turn("calls", as_json(calls))


def _about(message: Mapping[str, Any], **more: int) -> Iterator[Turn]:
    name = value_of(message, "name")
    if not says_nothing(name):
        if not _is_text(name):
            raise FaultError("field_not_text", f"'name' is {kind_of(name)}; wanted text")
        yield _turn("about", as_json({"name": name, **more}))
    elif more:
        yield _turn("about", as_json(more))


def _tool_turn(message: Mapping[str, Any], content: _Content) -> Turn:
    if content.text is None and message.get("content") is None:
        raise FaultError("missing_field", "no content; wanted the result of a call")
    more = {
        key: value_of(message, key)
        for key in ("tool_call_id", "name")
        if not says_nothing(message.get(key))
    }
    return _turn("tool", as_json({"content": content.text or "", **more}))


def _answer(message: Mapping[str, Any], text: str | None) -> str | None:
    """What an assistant says: its content, or its refusal where there is none."""
    refusal = value_of(message, "refusal")
    if says_nothing(refusal):
        return text
    if not _is_text(refusal) or text:
        raise FaultError("unknown_message_field", "'refusal' beside content; wanted one of them")
    return str(refusal)


def _reasoning(message: Mapping[str, Any], block: str | None) -> str | None:
    """What leads to an answer, under whichever of its names."""
    found = {key: value_of(message, key) for key in REASONING_KEYS}
    said = [value for value in (*found.values(), block) if not says_nothing(value)]
    if not all(map(_is_text, said)):
        raise FaultError("field_not_text", "reasoning that is not text; wanted text")
    if len(set(said)) > 1:
        raise FaultError("bad_messages", f"reasoning twice, of {len(said)} kinds; wanted one")
    return str(said[0]) if said and not is_blank(said[0]) else None


def _content_of(content: object, role: str) -> _Content:
    """Text, or a list of blocks, which are joined."""
    if content is None:
        return _Content()
    if _is_text(content):
        return _Content(str(content))
    if not isinstance(content, list):
        raise FaultError("field_not_text", f"content is {kind_of(content)}; wanted text")
    blocks = [_block(block, role) for block in content]
    order = [ORDER.get(kind, 2) for kind, _ in blocks]
    if order != sorted(order):
        raise FaultError("bad_messages", "blocks in an order that no template can write")
    texts = [str(text) for kind, text in blocks if kind not in ORDER]
    thoughts = [str(text) for kind, text in blocks if kind == "thinking"]
    return _Content(
        "".join(texts) if texts else None,
        "\n\n".join(thoughts) if thoughts else None,
        tuple(call for kind, call in blocks if kind == "tool_use"),
        tuple(result for kind, result in blocks if kind == "tool_result"),
    )


def _block(block: object, role: str) -> tuple[str, Any]:
    """The kind of a block and what it says."""
    if _is_text(block):
        return "text", block
    if not isinstance(block, dict):
        raise FaultError("field_not_text", f"a part of content is {kind_of(block)}; wanted text")
    kind = value_of(block, "type") or "text"
    keys = BLOCK_KEYS.get(str(kind))
    if keys is None:
        raise FaultError(
            "content_not_text", f"a part of content of type {str(kind)[:64]!r}; wanted text"
        )
    check_keys(block, frozenset({"type", "cache_control", *keys}), "content.")
    match kind:
        case "tool_use" if role == "assistant":
            name, given = value_of(block, "name"), value_of(block, "input")
            return kind, {"id": value_of(block, "id"), "name": name, "arguments": given}
        case "tool_result" if role == "user":
            said = _content_of(value_of(block, "content"), "tool").text or ""
            called = value_of(block, "tool_use_id")
            return kind, {"content": said} | ({"tool_call_id": called} if called else {})
        case "tool_use" | "tool_result" | "thinking" if role != "assistant" or kind != "thinking":
            raise FaultError("bad_messages", f"a part of type {kind!r} in a message of {role!r}")
    said = value_of(block, keys[0])
    if not _is_text(said):
        raise FaultError("field_not_text", f"a part of content holds {kind_of(said)}; wanted text")
    return str(kind), said


def _role(message: Mapping[str, Any]) -> str:
    role = value_of(message, "role")
    if not _is_text(role):
        raise FaultError("bad_messages", f"no text in 'role'; {there_are(message)}")
    if role not in ROLE_OF:
        raise FaultError(
            "unknown_role", f"found role {str(role)[:64]!r}; wanted one of {', '.join(ROLE_OF)}"
        )
    return ROLE_OF[role]


def _is_learned(message: Mapping[str, Any]) -> bool:
    weight = value_of(message, "weight")
    if weight is None:
        return True
    if isinstance(weight, bool) or str(weight) not in LEARNED:
        raise FaultError("bad_messages", f"'weight' is {kind_of(weight)}; wanted 0 or 1")
    return LEARNED[str(weight)]


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": written(content)}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)
