"""What a conversation holds beside roles and texts: tools, calls, results, reasoning, names.

A turn is a role and a text. A message that says more than that is several turns, the first ones
about the last:

    about      JSON: what else the message after it has: `name`, and `weight`, which is 0 where it
               is not learned
    reasoning  the reasoning that leads to the answer or the calls after it, as text
    tools      JSON: a list of definitions, before all other turns
    calls      JSON: a list of what an assistant calls, after what it says, if anything
    tool       JSON: a result, the message without its role

A chat template gets them as its own names for them: `tools`, and messages with `tool_calls`,
`reasoning_content` and `name`. Numbers in JSON keep their spelling.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from loray.errors import ModelError
from loray.models.json_numbers import parse_json

JSON_ROLES = frozenset({"about", "tools", "calls", "tool"})
Message: TypeAlias = Mapping[str, Any]
"""As a chat template takes it: `role`, `content`, and of tools `tool_calls`, `name`, ..."""


class Conversation(NamedTuple):
    """What a chat template renders."""

    messages: list[Message]
    tools: list[Any] | None = None
    unlearned: frozenset[int] = frozenset()
    """Answers, by their place among the messages, that a row says not to learn."""


def conversation_of(turns: Sequence[Mapping[str, str]]) -> Conversation:
    """The messages that the turns of a row stand for.

    Raises:
        ModelError: a turn of JSON is not JSON of the right shape, or stands in the wrong place.
    """
    if not any(turn["role"] in JSON_ROLES or turn["role"] == "reasoning" for turn in turns):
        return Conversation(list(turns))
    messages: list[Message] = []
    tools: list[Any] | None = None
    unlearned: set[int] = set()
    about: dict[str, Any] = {}
    before = ""
    for turn in turns:
        match turn["role"]:
            case "tools" if before:
                raise ModelError("tool definitions come before all other turns; move them")
            case "tools" | "about" | "reasoning":
                about |= _about(turn)
            case "calls" if before == "assistant":
                messages.append({**messages.pop(), "tool_calls": _parsed(turn, list)})
            case _:
                if about.pop("weight", 1) == 0:
                    unlearned.add(len(messages))
                tools = about.pop("tools", tools)
                messages.append({**_message(turn), **about})
                about = {}
        before = turn["role"]
    if about:
        raise ModelError(f"nothing follows what is said about a message ({', '.join(about)})")
    return Conversation(messages, tools, frozenset(unlearned))


def _about(turn: Mapping[str, str]) -> dict[str, Any]:
    """What a turn says of the message after it; tools belong to all messages."""
    match turn["role"]:
        case "tools":
            return {"tools": _parsed(turn, list)}
        case "reasoning":
            return {"reasoning_content": turn["content"]}
        case _:
            found: dict[str, Any] = _parsed(turn, dict)
            return found


def _message(turn: Mapping[str, str]) -> Message:
    match turn["role"]:
        case "calls":
            return {"role": "assistant", "content": "", "tool_calls": _parsed(turn, list)}
        case "tool":
            return {"role": "tool", **_parsed(turn, dict)}
        case _:
            return turn


def _parsed(turn: Mapping[str, str], kind: type) -> Any:  # noqa: ANN401 (JSON)
    try:
        found = parse_json(turn["content"])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"a turn of role {turn['role']!r} is not JSON: {error}") from error
    if not isinstance(found, kind):
        raise ModelError(f"a turn of role {turn['role']!r} is not a JSON {kind.__name__}")
    return found
