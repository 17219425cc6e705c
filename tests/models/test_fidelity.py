"""A template that leaves out or changes what a row says costs that row; the note says why."""

import re

import pytest

from loray.errors import ModelError
from loray.models.chat import encode_lesson, encode_prompt, end_token_id
from loray.models.template_probe import probe_template, probe_tokenizer
from loray.spec.data import ChatSpec
from tests.models.published import published
from tests.models.test_chat import ask, learned, tokenizer_with

CHAT = ChatSpec()
HEAD = "{% for m in messages %}<|user|>"
TAIL = "<|end|>{% endfor %}{% if add_generation_prompt %}<|user|>{% endif %}"
TOLD = [{"role": "system", "content": "Be kind."}, *ask("a", "b")]


def template(body: str) -> str:
    return f"{HEAD}{body}{TAIL}"


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        ("{{ m.content | upper }}", ask("a", "b")),
        ("{{ m.content | capitalize }}", ask("a", "the Moon")),
        ("{{ m.content[:3] }}", ask("a", "a long answer")),
        ("{{ m.content.split('</think>')[-1] }}", ask("a", "<think>x</think>y")),
        ("{{ m.content.replace('  ', ' ') }}", ask("a", "two  blanks")),
        ("{% if m.role != 'user' %}{{ m.content }}{% endif %}", ask("a question", "b")),
        ("{% if m.role != 'system' %}{{ m.content }}{% endif %}", TOLD),
        ("{% if loop.last %}{{ m.content }}{% endif %}", ask("first", "b", "then", "d")),
        ("", ask("a", "b")),
    ],
)
def test_a_row_that_would_be_learned_otherwise_is_refused(body, turns):
    with pytest.raises(ModelError, match=r"not write|differently"):
        encode_lesson(turns, tokenizer_with(template(body)), CHAT)


def test_white_space_at_the_ends_is_the_templates_own_business_and_is_noted():
    tokenizer = tokenizer_with(template("{{ m.content | trim }}"))
    lesson = encode_lesson(ask("a", " b\n"), tokenizer, CHAT)
    assert learned(lesson.sequences[0], tokenizer) == "b<|end|>"
    assert lesson.is_trimmed
    assert not encode_lesson(ask("a", "b"), tokenizer, CHAT).is_trimmed


def test_a_result_that_is_quoted_is_not_trimmed():
    quoted = "{% if m.role == 'tool' %}{{ m.content | tojson }}{% else %}{{ m.content }}{% endif %}"
    turns = [{"role": "tool", "content": '{"content": "a \\"b\\""}'}, *ask("a", "b")]
    assert not encode_lesson(turns, tokenizer_with(template(quoted)), CHAT).is_trimmed


def test_a_template_that_opens_no_answer_does_not_teach_its_opening():
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% else %}"
        "<|user|>{{ m.role }}:{{ m.content }}<|end|>"
        "{% if loop.last and add_generation_prompt %}<|user|>assistant:{% endif %}"
        "{% endif %}{% endfor %}"
    )
    tokenizer = tokenizer_with(source)
    lesson = encode_lesson(ask("a", "b"), tokenizer, CHAT)
    assert learned(lesson.sequences[0], tokenizer) == "b<|end|>"
    with pytest.raises(ModelError, match=r"opens no answer after turns 1 to 1.*put a user turn"):
        encode_lesson([TOLD[0], {"role": "assistant", "content": "b"}], tokenizer, CHAT)


def test_a_template_that_wants_lists_of_parts_gets_them():
    parts = "{% for part in m.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
    tokenizer = tokenizer_with(template(parts))
    lesson = encode_lesson(ask("a question", "an answer"), tokenizer, CHAT)
    assert learned(lesson.sequences[0], tokenizer) == "an answer<|end|>"


def test_the_end_token_of_a_template_that_changes_answers_is_a_clear_refusal():
    with pytest.raises(ModelError, match="does not write an answer as it is"):
        end_token_id(tokenizer_with(template("{{ m.content | upper }}")), CHAT)


def test_answers_that_a_template_writes_differently_later_get_sequences_of_their_own():
    tokenizer = published("qwen3")
    turns = ask("one?", "1", "two?", "2", "three?", "3")
    lesson = encode_lesson(turns, tokenizer, CHAT)
    block = "<think>\n\n</think>\n\n"
    assert [learned(sequence, tokenizer) for sequence in lesson.sequences] == [
        f"{block}{n}<|im_end|>" for n in (3, 2, 1)
    ]
    assert lesson.num_answers == [1, 1, 1]
    for sequence, end in zip(lesson.sequences, (5, 3, 1), strict=True):
        prompt = encode_prompt(turns[:end], tokenizer, CHAT)
        assert sequence.input_ids[: len(prompt)] == prompt
        assert sequence.target_mask.index(True) == len(prompt)


def test_the_answers_of_a_tool_loop_share_a_sequence():
    call = '[{"id": "c", "type": "function", "function": {"name": "f", "arguments": {"n": 1.50}}}]'
    turns = [
        {"role": "user", "content": "now?"},
        {"role": "reasoning", "content": "look"},
        {"role": "calls", "content": call},
        {"role": "tool", "content": '{"content": "noon"}'},
        {"role": "reasoning", "content": "so"},
        {"role": "assistant", "content": "Noon."},
    ]
    tokenizer = published("qwen3")
    (sequence,) = encode_lesson(turns, tokenizer, CHAT).sequences
    assert learned(sequence, tokenizer) == (
        '<think>\nlook\n</think>\n\n<tool_call>\n{"name": "f", "arguments": {"n": 1.50}}\n'
        "</tool_call><|im_end|><think>\nso\n</think>\n\nNoon.<|im_end|>"
    )


def test_control_tokens_in_reasoning_are_plain_text():
    turns = [ask("a")[0], {"role": "reasoning", "content": "</think><|im_end|>"}, ask("a", "b")[1]]
    tokenizer = published("qwen3")
    (sequence,) = encode_lesson(turns, tokenizer, CHAT).sequences
    ids = sequence.input_ids
    assert ids.count(tokenizer.convert_tokens_to_ids("</think>")) == 1
    assert learned(sequence, tokenizer).count("<|im_end|>") == 2


def test_a_template_is_probed_without_a_row(tiny_model_dir):
    found = probe_template(tiny_model_dir, CHAT)
    assert (found.end_token, found.opens_answer, found.takes_system) == ("<|end|>", True, True)
    assert found.faults == ()
    assert not found.takes_tools
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        probe_template(tiny_model_dir / "none", CHAT)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{{ m.content | upper }}", "does not write an answer as it is|leaves out or changes"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "steps"),
        ("{{ loop.revindex }}{{ m.content }}", "differently"),
    ],
)
def test_a_template_with_which_no_row_could_be_learned_is_a_fault(body, words):
    (fault,) = probe_tokenizer(tokenizer_with(template(body)), CHAT).faults
    assert re.search(words, fault)


def test_a_system_turn_of_the_spec_on_a_base_without_one_is_a_fault():
    found = probe_tokenizer(published("gemma"), ChatSpec(system="Be kind."))
    assert "data.chat.system" in found.faults[0]
    assert "System role not supported" in found.faults[0]
    assert probe_tokenizer(published("gemma3"), ChatSpec(system="Be kind.")).faults == ()
    assert probe_tokenizer(published("gemma"), CHAT).faults == ()


def test_what_some_rows_cannot_have_is_said():
    assert not probe_tokenizer(published("qwen3"), CHAT).is_steady
    assert probe_tokenizer(published("qwen3"), CHAT).takes_reasoning
    limits = " ".join(probe_tokenizer(published("llama2"), CHAT).limits)
    assert "rows with tools are rejected" in limits
    assert "rows with reasoning are rejected" in limits


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ m.content.split('</think>')[-1] }}", "take the thoughts out of the rows, or set data"),
        (
            "{{ m.reasoning_content or '' }}{{ m.content.split('</think>')[-1] }}",
            "write the thought as reasoning_content, not into content",
        ),
    ],
)
def test_a_thought_that_a_template_cuts_away_has_a_remedy(source, words):
    with pytest.raises(ModelError, match=r"cuts away what stands before </think>: ") as caught:
        encode_lesson(ask("a", "<think>x</think>y"), tokenizer_with(template(source)), CHAT)
    assert words in str(caught.value)
    plain = ChatSpec(template="plain")
    lesson = encode_lesson(ask("a", "<think>x</think>y"), tokenizer_with(template(source)), plain)
    assert "<think>x</think>y" in learned(lesson.sequences[0], tokenizer_with(template(source)))
