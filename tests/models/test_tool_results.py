"""Rows with results of tools over twelve templates: learned as at inference, or why not."""

import pytest

from loray.errors import ModelError
from loray.models.chat import encode_lesson, encode_prompt
from loray.spec.data import ChatSpec
from tests.data.test_unusual_chats import learned, turns_in
from tests.data.unusual_chats import ASK, TOOL, Chat, answer, call, called
from tests.models.published import CALLING, published

OSLO = {"city": "Oslo"}
TRAFFIC = {"type": "function", "function": {"name": "traffic", "parameters": {"type": "object"}}}


def result(content, tool_call_id="abcdefgh1", **more):
    return {"role": "tool", "content": content, "tool_call_id": tool_call_id, **more}


FIRST = [ASK, called(call(OSLO))]
ROWS = {
    "one result": Chat([*FIRST, result("5 degrees"), answer("Cold.")], tools=[TOOL]),
    "no system, a name": Chat(
        [*FIRST, result("5 degrees", name="weather"), answer("Cold.")], tools=[TOOL]
    ),
    "JSON": Chat(
        [*FIRST, result('{"t": 5, "at": "\u00e5s"}'), answer("Cold.")], tools=[TOOL]
    ),
    "lines": Chat([*FIRST, result("a\n  b\n\n"), answer("Cold.")], tools=[TOOL]),
    "quotes": Chat([*FIRST, result('say "no" \\ \'yes\''), answer("Cold.")], tools=[TOOL]),
    "no definitions": Chat([*FIRST, result("5 degrees"), answer("Cold.")]),
    "two steps": Chat(
        [*FIRST, result("5 degrees"), called(call({"city": "Rome"})), result("20"),
         answer("Warm.")],
        tools=[TOOL],
    ),
    "and on": Chat(
        [*FIRST, result("5 degrees"), answer("Cold."), ASK, answer("In Norway.")], tools=[TOOL]
    ),
    "two calls": Chat(
        [ASK, called(call(OSLO), call(OSLO, "traffic", id="abcdefgh2")),
         result("5 degrees"), result("none", "abcdefgh2"), answer("Cold.")],
        tools=[TOOL, TRAFFIC],
    ),
    "ids of OpenAI": Chat(
        [ASK, called(call(OSLO, id="call_0123456789")), result("5", "call_0123456789"),
         answer("Cold.")],
        tools=[TOOL],
    ),
    "no ids": Chat(
        [ASK, called(call(OSLO, id=None)), result("5", None), answer("Cold.")], tools=[TOOL]
    ),
    "a call last": Chat(FIRST, tools=[TOOL]),
}  # fmt: skip
REFUSED = {
    "llama31": {"two calls": "only supports single tool-calls"},
    "mistral3": {"ids of OpenAI": "strings with length 9", "no ids": "strings with length 9"},
    "hermes": {"no definitions": "never writes `tool_calls`"},
    "nemo": {"no ids": "no attribute 'id'"},
    "phi4_mini": {
        row: "leaves out the definition of tool 'weather'; .* set data.chat.system"
        for row, chat in ROWS.items()
        if chat.tools
    },
    "deepseek_v3": {"two steps": "opens no answer after turns 1 to 3"},
}
"""By template and row, why it is rejected."""


@pytest.mark.parametrize("name", CALLING)
@pytest.mark.parametrize("row", ROWS)
def test_a_row_with_results_is_learned_as_at_inference_or_rejected(row, name):
    tokenizer, turns = published(name), turns_in(ROWS[row])
    if reason := REFUSED.get(name, {}).get(row):
        with pytest.raises(ModelError, match=reason):
            encode_lesson(turns, tokenizer, ChatSpec())
        return
    lesson = encode_lesson(turns, tokenizer, ChatSpec())
    prompts = [
        encode_prompt(turns[:at], tokenizer, ChatSpec())
        for at in range(1, len(turns))
        if turns[at]["role"] in ("calls", "assistant")
    ]
    starts = [
        sequence.input_ids[:at]
        for sequence in lesson.sequences
        for at, hit in enumerate(sequence.target_mask)
        if hit and not sequence.target_mask[at - 1]
    ]
    assert sorted(starts) == sorted(prompts)
    said = "".join(reversed(learned(lesson, tokenizer)))
    answers = [m["content"] for m in ROWS[row].messages if m["role"] == "assistant"]
    assert all(text in said for text in filter(None, answers))


def test_a_system_turn_lets_a_template_show_its_tools():
    turns = turns_in(ROWS["one result"])
    lesson = encode_lesson(turns, published("phi4_mini"), ChatSpec(system="Be brief."))
    assert '"name": "weather"' in published("phi4_mini").decode(lesson.sequences[0].input_ids)
