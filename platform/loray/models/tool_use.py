"""Tool use in a conversation: definitions, calls and results, passed on as they came.

A turn is a role and a text. For three roles the text is JSON, in the words of the source:

    tools   a list of definitions, before all other turns
    calls   a list of what an assistant calls, after what it says, if anything
    tool    a result: the message without its role

A chat template gets them as its own names for them: `tools`, and messages with `tool_calls`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from loray.errors import ModelError

JSON_ROLES = frozenset({"tools", "calls", "tool"})
Message: TypeAlias = Mapping[str, Any]
"""As a chat template takes it: `role`, `content`, and of tools `tool_calls`, `name`, ..."""


class Conversation(NamedTuple):
    """What a chat template renders."""

    messages: list[Message]
    tools: list[Any] | None


def conversation_of(turns: Sequence[Mapping[str, str]]) -> Conversation:
    """The messages that the turns of a row stand for.

    Raises:
        ModelError: a turn of tools is no JSON of the right shape, or stands in the wrong place.
    """
    if not any(turn["role"] in JSON_ROLES for turn in turns):
        return Conversation(list(turns), None)
    messages: list[Message] = []
    tools: list[Any] | None = None
    for at, turn in enumerate(turns):
        match turn["role"]:
            case "tools":
                if at > 0:
                    raise ModelError("tool definitions come before all other turns; move them")
                tools = _parsed(turn, list)
            case "calls":
                calls = _parsed(turn, list)
                is_said = at > 0 and turns[at - 1]["role"] == "assistant"
                said = messages.pop() if is_said else {"role": "assistant", "content": ""}
                messages.append({**said, "tool_calls": calls})
            case "tool":
                messages.append({"role": "tool", **_parsed(turn, dict)})
            case _:
                messages.append(turn)
    return Conversation(messages, tools)


def num_answers(turns: Sequence[Mapping[str, str]]) -> int:
    """How many assistant messages the turns stand for: what is learned, and has to end."""
    roles = [turn["role"] for turn in turns]
    before = ["", *roles[:-1]]
    pairs = zip(roles, before, strict=True)
    unsaid = sum(role == "calls" and said != "assistant" for role, said in pairs)
    return roles.count("assistant") + unsaid


def _parsed(turn: Mapping[str, str], kind: type) -> Any:  # noqa: ANN401 (JSON)
    try:
        found = json.loads(turn["content"])
    except ValueError as error:
        raise ModelError(f"a turn of role {turn['role']!r} is no JSON: {error}") from error
    if not isinstance(found, kind):
        raise ModelError(f"a turn of role {turn['role']!r} is no JSON {kind.__name__}")
    return found
