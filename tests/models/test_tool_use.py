"""Tools in a conversation reach the template as they came, and calls are learned."""

import json

import pytest

from loray.errors import ModelError
from loray.models.chat import encode, encode_prompt
from loray.models.tool_use import conversation_of
from loray.quickstart.initialise import train_tokenizer
from loray.spec.data import ChatSpec

TEMPLATE = (
    "{%- if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif -%}"
    "{%- for m in messages %}<|{{ 'user' if m.role == 'tool' else m.role }}|>{{ m.content }}"
    "{%- if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<|end|>{% endfor -%}"
    "{%- if add_generation_prompt %}<|assistant|>{% endif -%}"
)
TOOLS = [{"type": "function", "function": {"name": "time", "parameters": {"zone": "string"}}}]
CALLS = [{"type": "function", "function": {"name": "time", "arguments": {"zone": "UTC"}}}]
TURNS = [
    {"role": "tools", "content": json.dumps(TOOLS)},
    {"role": "user", "content": "what time is it?"},
    {"role": "assistant", "content": "I look."},
    {"role": "calls", "content": json.dumps(CALLS)},
    {"role": "tool", "content": json.dumps({"content": "noon", "name": "time"})},
    {"role": "assistant", "content": "It is noon."},
]


def tokenizer_with(template: str):
    tokenizer = train_tokenizer([json.dumps(TURNS)] * 3, 400, 512)
    tokenizer.chat_template = template
    return tokenizer


TOKENIZER = tokenizer_with(TEMPLATE)


def test_turns_become_the_messages_that_templates_take():
    messages, tools, _ = conversation_of(TURNS)
    assert tools == TOOLS
    assert messages == [
        TURNS[1],
        {"role": "assistant", "content": "I look.", "tool_calls": CALLS},
        {"role": "tool", "content": "noon", "name": "time"},
        TURNS[5],
    ]
    silent = conversation_of([TURNS[1], TURNS[3]]).messages
    assert silent[1] == {"role": "assistant", "content": "", "tool_calls": CALLS}


def test_calls_and_answers_are_learned_and_end():
    encoded = encode(TURNS, TOKENIZER, ChatSpec())
    messages, tools, _ = conversation_of(TURNS)
    whole = TOKENIZER.apply_chat_template(messages, tools=tools)["input_ids"]
    assert encoded.input_ids == whole
    kept = zip(encoded.input_ids, encoded.target_mask, strict=True)
    text = TOKENIZER.decode([i for i, is_target in kept if is_target])
    calls = TOKENIZER.apply_chat_template(messages[:2], tools=tools, tokenize=False)
    assert text == calls[calls.index("I look.") :] + "It is noon.<|end|>"
    prompt = encode_prompt(TURNS[:5], TOKENIZER, ChatSpec())
    assert prompt == encoded.input_ids[: len(prompt)]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([TURNS[1], TURNS[0]], "come before all other turns"),
        ([{"role": "calls", "content": "{"}], "is not JSON"),
        ([{"role": "calls", "content": "{}"}], "is not a JSON list"),
        ([{"role": "tool", "content": "[]"}], "is not a JSON dict"),
        ([{**TURNS[0], "content": '["<|end|>"]'}, *TURNS[1:]], "hold a control token"),
    ],
)
def test_what_cannot_be_shown_as_it_is_is_refused(turns, message):
    with pytest.raises(ModelError, match=message):
        encode(turns, TOKENIZER, ChatSpec())


@pytest.mark.parametrize(("turns", "name"), [(TURNS[:3], "tools"), (TURNS[1:4], "tool_calls")])
def test_a_template_without_tools_refuses_them(turns, name):
    plain = tokenizer_with(
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    )
    with pytest.raises(ModelError, match=f"never writes `{name}`"):
        encode(turns, plain, ChatSpec())
    with pytest.raises(ModelError, match="plain has no place for tools"):
        encode(turns, TOKENIZER, ChatSpec(template="plain"))
