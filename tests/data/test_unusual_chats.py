"""Forty unusual rows over twelve published templates: learned as the row says, or rejected."""

import json
from contextlib import suppress

import pytest

from loray.data.sources.decoding import FaultError, parse_line
from loray.data.sources.records import turns_of
from loray.errors import ModelError
from loray.models.chat import encode_lesson, encode_prompt
from loray.models.tool_use import conversation_of
from loray.spec.data import ChatSpec
from loray.spec.fields import FieldsSpec
from tests.data.unusual_chats import CHATS
from tests.models.published import NAMES, published

FIELDS = FieldsSpec(messages="messages", tools="tools")
TURNS = {"two users", "two answers", "answer first"}
"""What a template that wants users and answers in turn refuses."""
THOUGHTS = {
    "reasoning_content", "reasoning", "thinking", "reasoning in each turn",
    "tool loop with reasoning",
}  # fmt: skip
TOOLS = {
    "call, arguments as text", "call, arguments as an object", "call, odd numbers",
    "call, no arguments", "call beside text", "two calls", "tool loop", "tool loop with reasoning",
    "function_call", "blocks of Anthropic",
}  # fmt: skip
SPEAKING = {"call beside text", "blocks of Anthropic"}
ALWAYS = {"answer first", "name"}
REJECTED = {
    "llama2": ALWAYS | TURNS | THOUGHTS | TOOLS | {"two systems"},
    "llama31": ALWAYS | THOUGHTS | SPEAKING | {"two calls"},
    "mistral3": ALWAYS
    | TURNS
    | THOUGHTS
    | SPEAKING
    | {"system", "developer", "two systems", "function_call"},
    "qwen25": ALWAYS | THOUGHTS | {"blocks of Anthropic"},
    "qwen3": ALWAYS | {"two answers"},
    "gemma": ALWAYS | TURNS | THOUGHTS | TOOLS | {"system", "developer", "two systems"},
    "gemma3": ALWAYS | TURNS | THOUGHTS | TOOLS,
    "phi3": ALWAYS | THOUGHTS | TOOLS,
    "phi4": ALWAYS | THOUGHTS | TOOLS,
    "deepseek_r1": ALWAYS
    | THOUGHTS
    | SPEAKING
    | {"two systems", "think block in content", "think blocks in several turns"}
    | {"call, arguments as text", "call, arguments as an object", "tool loop"},  # shows no tools
    "command": ALWAYS | THOUGHTS | {"two systems", "blocks of Anthropic"},
    "smollm3": ALWAYS | THOUGHTS | TOOLS | {"two systems"},
}
"""The rows that a template cannot show as they are; all others are learned."""
ROWS = {name: chat for name, chat in CHATS.items() if chat.reason is None}


def turns_in(chat):
    record = {"messages": chat.messages, "tools": chat.tools}
    return turns_of(parse_line(json.dumps(record).encode()), FIELDS)


def learned(lesson, tokenizer):
    """What is learned of each sequence."""
    return [
        tokenizer.decode([t for t, hit in zip(*vars(s).values(), strict=True) if hit])
        for s in lesson.sequences
    ]


def try_cell(name, row):
    """The lesson of a row with a template, or the words of its rejection."""
    try:
        return encode_lesson(turns_in(CHATS[row]), published(name), ChatSpec())
    except ModelError as error:
        return str(error)


def test_there_are_forty_rows_and_twelve_templates():
    assert (len(CHATS), len(NAMES)) == (40, 12)


@pytest.mark.parametrize("row", [name for name, chat in CHATS.items() if chat.reason])
def test_a_row_that_no_template_could_show_has_a_reason(row):
    with pytest.raises(FaultError, match=CHATS[row].reason) as caught:
        turns_in(CHATS[row])
    assert caught.value.note.startswith("message ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", ROWS)
def test_all_that_a_row_says_is_learned_or_the_row_is_rejected(row, name):
    chat, tokenizer, found = ROWS[row], published(name), try_cell(name, row)
    assert isinstance(found, str) == (row in REJECTED[name]), found
    if isinstance(found, str):
        return
    said = "".join(reversed(learned(found, tokenizer)))
    at = 0
    for text in chat.said:
        assert text in said[at:], (text, said)
        at = said.index(text, at) + len(text)
    assert not any(text in said for text in chat.unlearned)
    whole = tokenizer.decode(found.sequences[0].input_ids)
    assert all(text in whole for text in chat.context)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", ROWS)
def test_what_stands_before_an_answer_is_what_inference_puts_there(row, name):
    tokenizer, found = published(name), try_cell(name, row)
    if isinstance(found, str):
        return
    prompts = list(prompts_of(turns_in(ROWS[row]), tokenizer))
    for sequence in found.sequences:
        starts = [
            at for at, hit in enumerate(sequence.target_mask)
            if hit and not sequence.target_mask[at - 1]
        ]  # fmt: skip
        for start in starts:
            assert sequence.input_ids[:start] in prompts


def prompts_of(turns, tokenizer):
    """What inference would be given after each turn."""
    for at in range(1, len(turns)):
        with suppress(ModelError):  # a template that wants its turns to alternate
            yield encode_prompt(turns[:at], tokenizer, ChatSpec())


@pytest.mark.parametrize("name", ["llama31", "mistral3", "qwen25", "qwen3", "command"])
@pytest.mark.parametrize("row", [name for name in ROWS if name.startswith(("call", "tool loop"))])
def test_a_call_is_learned_as_transformers_renders_it(row, name):
    tokenizer, found = published(name), try_cell(name, row)
    if isinstance(found, str):
        assert row in REJECTED[name]
        return
    messages, tools, _ = conversation_of(turns_in(ROWS[row]))
    wanted = []
    for at, message in enumerate(messages):
        if message["role"] == "assistant":
            before, through = (
                tokenizer.apply_chat_template(
                    part, tools=tools, tokenize=False, date_string="26 Jul 2024",
                    add_generation_prompt=is_open,
                )
                for part, is_open in ((messages[:at], True), (messages[: at + 1], False))
            )  # fmt: skip
            assert through.startswith(before)
            wanted.append(through.removeprefix(before).removesuffix("\n"))
    # transformers writes 1.5 and 100000.0 where the row has 1.50 and 1e5.
    said = "".join(reversed(learned(found, tokenizer)))
    assert said.replace("1.50", "1.5").replace("1e5", "100000.0") == "".join(wanted)
