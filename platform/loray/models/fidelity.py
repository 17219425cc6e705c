"""Whether a chat template wrote all that the turns of a row say.

White space at the ends of a turn is a template's own business. Anything else that it leaves out
or writes differently would be learned wrongly, or not at all, so such a row is refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from loray.errors import ModelError
from loray.models.call_fidelity import missing_of
from loray.models.markup import Markup
from loray.models.tool_use import Conversation, Message


def check_tools(messages: Sequence[Message], tools: list[Any], markup: Markup) -> None:
    """See that the template writes every definition before a question.

    In a whole row a tool's name may stand in its calls alone, so what the template makes of the
    first question is compared with what it makes of it without tools.

    Raises:
        ModelError: a definition is not there.
    """
    if not tools:
        return
    roles = [str(message["role"]) for message in messages]
    first = messages[: roles.index("user") + 1 if "user" in roles else 1]
    try:
        shown = _written_of_tools(first, tools, markup)
    except ModelError:
        return  # whether the row can be written is seen when all of it is
    missing = next((name for name in _names(tools) if name not in shown), None)
    if missing is None:
        return
    told = [{"role": "system", "content": "a"}, *first]
    try:
        is_wanting = roles[0] != "system" and missing in _written_of_tools(told, tools, markup)
    except ModelError:
        is_wanting = False
    remedy = (
        "; it writes them after a system turn alone: set data.chat.system" if is_wanting else ""
    )
    raise ModelError(f"the chat template leaves out the definition of tool {missing!r:.80}{remedy}")


def _written_of_tools(messages: Sequence[Message], tools: list[Any], markup: Markup) -> str:
    """What the template writes more where there are tools."""
    text, without = markup.render(messages, tools), markup.render(messages, [])
    same = _num_alike(text, without)
    after = _num_alike(text[same:][::-1], without[same:][::-1])
    return text[same : len(text) - after]


def _num_alike(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


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
        what = f"text {said[:80]!r}; of it is left {body.strip()[-80:]!r}"
        _refuse(number, "assistant", what + _remedy(said, markup))
    reasoning = str(message.get("reasoning_content", "")).strip()
    if reasoning not in body:
        _refuse(number, "assistant", f"reasoning {reasoning[:80]!r}")
    for name in _names(calls):
        if name not in body:
            _refuse(number, "assistant", f"call of {name!r:.80}")
    for arguments in _arguments(calls):
        if missing := missing_of(arguments, body):
            _refuse(number, "assistant", missing)
    return content != said and content not in written


def _remedy(said: str, markup: Markup) -> str:
    """What to do about a thought that a template cuts away."""
    if "</think>" not in said:
        return ""
    instead = (
        "write the thought as reasoning_content, not into content"
        if "reasoning_content" in markup.template.written
        else "take the thoughts out of the rows"
    )
    return (
        f". The template cuts away what stands before </think>: {instead}, or set "
        "data.chat.template: plain (or chatml, where the tokenizer has its tokens), which keeps it"
    )


def _is_quoted(said: str, text: str) -> bool:
    """Whether a tool's result is written as JSON text."""
    return any(json.dumps(said, ensure_ascii=only)[1:-1] in text for only in (False, True))


def _names(entries: list[Any]) -> Iterator[str]:
    """The names of what is defined or called, where they stand where OpenAI's format has them."""
    for entry in entries:
        function = entry.get("function", entry) if isinstance(entry, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"]


def _arguments(calls: list[Any]) -> Iterator[Any]:
    for call in calls:
        function = call.get("function", call) if isinstance(call, dict) else {}
        if isinstance(function, dict):
            yield function.get("arguments")


def _refuse(number: int, role: str, what: str) -> NoReturn:
    raise ModelError(
        f"the chat template does not write turn {number + 1} ({role}) as the row has it: it leaves "
        f"out or changes its {what}"
    )
