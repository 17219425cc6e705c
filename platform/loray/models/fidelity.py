"""Whether a chat template wrote all that the turns of a row say.

White space at the ends of a turn is a template's own business. Anything else that it leaves out
or writes differently would be learned wrongly, or not at all, so such a row is refused.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from loray.errors import ModelError
from loray.models.markup import Markup
from loray.models.tool_use import Conversation, Message


def is_said_as_it_is(
    talk: Conversation, text: str, learned: Mapping[int, tuple[int, int]], markup: Markup
) -> bool:
    """Compare the messages with their rendered text.

    Args:
        learned: start and end in `text` of the answers that are learned, by message. Earlier
            answers may be written otherwise: templates leave out their reasoning.

    Returns:
        whether white space was taken from the ends of a turn.

    Raises:
        ModelError: something else was taken, or changed.
    """
    for name in _names(talk.tools or []):
        if name not in text:
            raise ModelError(f"the chat template leaves out the definition of tool {name!r:.80}")
    trimmed = []
    for number, message in enumerate(talk.messages):
        role = str(message["role"])
        if role in markup.template.altered:
            sample = markup.template.altered[role][-100:]
            _refuse(number, role, f"text; of a sample it makes {sample!r}")
        if "name" in message and role != "tool" and str(message["name"]) not in text:
            _refuse(number, role, f"name {message['name']!r:.80}; take the names out of the rows")
        if number in learned:
            start, end = learned[number]
            trimmed.append(_check_answer(number, message, text[start:end], markup))
        elif role != "assistant":
            trimmed.append(_check_context(number, message, text))
    return any(trimmed)


def _check_context(number: int, message: Message, text: str) -> bool:
    """Whether white space was taken from the ends of what is no answer."""
    role, content = str(message["role"]), str(message["content"])
    if content in text or (role == "tool" and _is_quoted(content, text)):
        return False
    said = content.strip()
    if said not in text and not (role == "tool" and _is_quoted(said, text)):
        _refuse(number, role, f"text {said[:80]!r}")
    return True


def _check_answer(number: int, message: Message, written: str, markup: Markup) -> bool:
    """Whether white space was taken from the ends of the answer."""
    content = str(message["content"])
    said = content.strip()
    calls = message.get("tool_calls", [])
    end_text = markup.template_end_text
    body = written[: written.rfind(end_text)] if end_text and end_text in written else written
    if said not in body if calls else not body.rstrip().endswith(said):
        _refuse(number, "assistant", f"text {said[:80]!r}; of it is left {body.strip()[-80:]!r}")
    reasoning = str(message.get("reasoning_content", "")).strip()
    if reasoning not in body:
        _refuse(number, "assistant", f"reasoning {reasoning[:80]!r}")
    for name in _names(calls):
        if name not in body:
            _refuse(number, "assistant", f"call of {name!r:.80}")
    for key in _arguments(calls):
        if key not in body and json.dumps(key)[1:-1] not in body:
            _refuse(number, "assistant", f"argument {key!r:.80} of a call")
    return content != said and content not in written


def _is_quoted(said: str, text: str) -> bool:
    """Whether a tool's result is written as JSON text."""
    return any(json.dumps(said, ensure_ascii=only)[1:-1] in text for only in (False, True))


def _names(entries: list[Any]) -> Iterator[str]:
    """The names of what is defined or called, where they stand where OpenAI's format has them."""
    for entry in entries:
        function = entry.get("function", entry) if isinstance(entry, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"]


def _arguments(calls: list[Any]) -> Iterator[str]:
    for call in calls:
        function = call.get("function", call) if isinstance(call, dict) else {}
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, dict):
            yield from map(str, arguments)


def _refuse(number: int, role: str, what: str) -> NoReturn:
    raise ModelError(
        f"the chat template does not write turn {number + 1} ({role}) as the row has it: it leaves "
        f"out or changes its {what}"
    )
