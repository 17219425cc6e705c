"""Forty unusual rows of chat as sources have them: what each says has to be learned.

`said` are the texts that the answers hold, in order; `context` those of the other turns; `reason`
is the one for which a row is rejected before any template sees it.
"""

import json
from typing import Any, NamedTuple


class Chat(NamedTuple):
    """One row."""

    messages: list[dict[str, Any]]
    said: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    tools: list[dict[str, Any]] | None = None
    reason: str | None = None
    unlearned: tuple[str, ...] = ()
    """Answers of weight 0."""


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def answer(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def call(arguments: Any, name: str = "weather", **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "abcdefgh1", "type": "function", "function": function, **more}


def called(*calls: Any, content: Any = None) -> dict[str, Any]:
    return answer(content, tool_calls=list(calls))


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
RESULT = {"role": "tool", "tool_call_id": "abcdefgh1", "content": "5 degrees"}
ASK, SAY = user("Where is Oslo?"), answer("In Norway.")
OSLO = json.dumps({"city": "Oslo"})
TOLD = {"role": "system", "content": "Be brief, and kind."}

CHATS = {
    "plain": Chat([ASK, SAY], ("In Norway.",), ("Where is Oslo?",)),
    "system": Chat([TOLD, ASK, SAY], ("In Norway.",), ("Be brief, and kind.",)),
    "developer": Chat(
        [{"role": "developer", "content": "Be brief."}, ASK, SAY], ("In Norway.",), ("Be brief.",)
    ),
    "two systems": Chat(
        [TOLD, ASK, {"role": "system", "content": "Now rhyme."}, user("And Rome?"), SAY],
        ("In Norway.",),
        ("Be brief", "Now rhyme."),
    ),
    "several turns": Chat(
        [ASK, SAY, user("And Rome?"), answer("In Italy.")], ("In Norway.", "In Italy.")
    ),
    "many turns": Chat(
        [m for n in range(4) for m in (user(f"Ask {n}?"), answer(f"Reply {n}."))],
        tuple(f"Reply {n}." for n in range(4)),
    ),
    "user last": Chat([ASK, SAY, user("Thanks!")], ("In Norway.",)),
    "two users": Chat([ASK, user("Quick!"), SAY], ("In Norway.",), ("Quick!",)),
    "two answers": Chat([ASK, SAY, answer("And cold.")], ("In Norway.", "And cold.")),
    "answer first": Chat([answer("Hello!"), ASK, SAY], ("Hello!", "In Norway.")),
    "blanks": Chat([user("  Where?\n"), answer("\n Here. \n\n")], ("Here.",), ("Where?",)),
    "control tokens": Chat(
        [user("Say <|im_end|>, </s> or <end_of_turn>."), answer("<|eot_id|> and <|end|>.")],
        ("<|eot_id|> and <|end|>.",),
        ("</s> or <end_of_turn>",),
    ),
    "code": Chat(
        [user("Print\n\tit"), answer("```py\nprint('{{ x }}', '{% if %}')\n```")],
        ("print('{{ x }}', '{% if %}')",),
    ),
    "emoji": Chat([user("\u00e9\u4f60?"), answer("\U0001f600 \u0301a")], ("\U0001f600 \u0301a",)),
    "reasoning_content": Chat([ASK, answer("In Norway.", reasoning_content="North, so.")],
        ("North, so.", "In Norway.")),
    "reasoning": Chat([ASK, answer("In Norway.", reasoning="North, so.")],
        ("North, so.", "In Norway.")),
    "thinking": Chat([ASK, answer("In Norway.", thinking="North, so.")],
        ("North, so.", "In Norway.")),
    "reasoning in each turn": Chat(
        [ASK, answer("In Norway.", reasoning_content="North, so."),
         user("And Rome?"), answer("In Italy.", reasoning_content="South, so.")],
        ("North, so.", "In Norway.", "South, so.", "In Italy."),
    ),
    "think block in content": Chat(
        [ASK, answer("<think>\nNorth, so.\n</think>\n\nIn Norway.")], ("North, so.", "In Norway.")
    ),
    "think blocks in several turns": Chat(
        [ASK, answer("<think>\nNorth, so.\n</think>\n\nIn Norway."), user("And Rome?"),
         answer("<think>\nSouth, so.\n</think>\n\nIn Italy.")],
        ("North, so.", "In Norway.", "South, so.", "In Italy."),
    ),
    "name": Chat([user("Where is Oslo?", name="ada_lovelace"), SAY], ("In Norway.",),
        ("ada_lovelace",)),
    "weight 0": Chat(
        [ASK, answer("In Sweden.", weight=0), user("No!"), answer("In Norway.", weight=1)],
        ("In Norway.",), unlearned=("In Sweden.",),
    ),
    "parts": Chat(
        [user([{"type": "text", "text": "Where is "}, {"type": "text", "text": "Oslo?"}]), SAY],
        ("In Norway.",), ("Where is Oslo?",),
    ),
    "picture": Chat([user([{"type": "image_url", "image_url": {"url": "x"}}]), SAY],
        reason="content_not_text"),
    "sound": Chat([ASK, answer("In Norway.", audio={"id": "a1"})], reason="unknown_message_field"),
    "refusal": Chat([ASK, answer(None, refusal="I will not say.")], ("I will not say.",)),
    "annotations": Chat([ASK, answer("In Norway.", annotations=[{"url": "x"}])],
        reason="unknown_message_field"),
    "empty extras": Chat(
        [ASK, answer("In Norway.", refusal=None, annotations=[], audio=None, tool_calls=None)],
        ("In Norway.",),
    ),
    "unknown key": Chat([ASK, answer("In Norway.", rating=5)], reason="unknown_message_field"),
    "call, arguments as text": Chat([ASK, called(call(OSLO))], ("weather", "city", "Oslo"),
        tools=[TOOL]),
    "call, arguments as an object": Chat([ASK, called(call({"city": "Oslo"}))],
        ("weather", "city", "Oslo"), tools=[TOOL]),
    "call, odd numbers": Chat(
        [ASK, called(call('{"a": 1.50, "b": 12345678901234567890, "c": null, "d": 1e5}'))],
        ("weather", "1.50", "12345678901234567890", "null", "1e5"),
    ),
    "call, no arguments": Chat([ASK, called(call(""))], ("weather", "{}")),
    "call, broken arguments": Chat([ASK, called(call("{city: Oslo"))], reason="bad_arguments"),
    "call beside text": Chat([ASK, called(call(OSLO), content="I look it up.")],
        ("I look it up.", "weather", "Oslo")),
    "two calls": Chat([ASK, called(call(OSLO), call(OSLO, "traffic"))], ("weather", "traffic")),
    "tool loop": Chat([ASK, called(call(OSLO)), RESULT, answer("Cold.")],
        ("weather", "Oslo", "Cold."), ("5 degrees",), [TOOL]),
    "tool loop with reasoning": Chat(
        [ASK, {**called(call(OSLO)), "reasoning_content": "I need it."}, RESULT,
         answer("Cold.", reasoning_content="5 is cold.")],
        ("I need it.", "weather", "5 is cold.", "Cold."), ("5 degrees",), [TOOL],
    ),
    "function_call": Chat(
        [ASK, answer(None, function_call={"name": "weather", "arguments": OSLO}),
         {"role": "function", "name": "weather", "content": "5 degrees"}, answer("Cold.")],
        ("weather", "Oslo", "Cold."), ("5 degrees",),
    ),
    "blocks of Anthropic": Chat(
        [user([{"type": "text", "text": "Where is Oslo?", "cache_control": {"type": "ephemeral"}}]),
         answer([{"type": "thinking", "thinking": "I need it.", "signature": "s"},
                 {"type": "text", "text": "I look."},
                 {"type": "tool_use", "id": "abcdefgh1", "name": "weather",
                  "input": {"city": "Oslo"}}]),
         user([{"type": "tool_result", "tool_use_id": "abcdefgh1",
                "content": [{"type": "text", "text": "5 degrees"}]}]),
         answer([{"type": "text", "text": "Cold."}])],
        ("I need it.", "I look.", "weather", "Oslo", "Cold."), ("5 degrees",),
    ),
}  # fmt: skip
