"""Reasoning is told from the answer, token by token; stop strings end the answer alone."""

import random

import pytest

from loray.inference.request import GenerateRequest, SamplingParams
from loray.inference.text import AnswerStream, answer_stream
from loray.models.thinking import ThinkMarks, begins_thinking, think_marks, without_thought
from loray.quickstart.initialise import train_tokenizer
from tests.models.published import published

PLAIN = ThinkMarks("<think>", "</think>")
QWEN = published("qwen3")


def said(text: str, *, marks=PLAIN, stop=(), is_thinking=False, tokenizer=QWEN):
    """Reasoning and answer, token by token, and whether a stop string was found."""
    stream = AnswerStream(tokenizer, stop, marks, is_thinking=is_thinking)
    ids = tokenizer.encode(text, add_special_tokens=False)
    pieces = [*(stream.push([token]) for token in ids), stream.finish()]
    at_once = AnswerStream(tokenizer, stop, marks, is_thinking=is_thinking)
    first, last = at_once.push(ids), at_once.finish()
    reasoning, answer = (
        "".join(part) for part in zip(*((p[1], p[0]) for p in pieces), strict=True)
    )
    assert (first.reasoning + last.reasoning, first.text + last.text) == (reasoning, answer)
    return reasoning, answer, stream.stopped


@pytest.mark.parametrize("marks", [PLAIN, think_marks(QWEN)])
@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>\n\n</think>\n\nfour", "", "four"),
        ("<think>\nadd two\nand two\n</think>\n\nfour", "add two\nand two", "four"),
        ("\n<think>a</think>b <think>c</think>", "a", "b <think>c</think>"),
        ("four", "", "four"),
        ("  four\n", "", "  four\n"),
        ("<think>cut off he", "cut off he", ""),
        ("<think>a </thi", "a </thi", ""),
        ("<think>a</think>", "a", ""),
        ("<thin ice>", "", "<thin ice>"),
        ("a</think>b", "", "a</think>b"),
        ("", "", ""),
    ],
)
def test_a_think_block_at_the_start_is_no_part_of_the_answer(text, reasoning, answer, marks):
    assert said(text, marks=marks) == (reasoning, answer, False)


def test_an_answer_to_a_prompt_that_opened_the_block_begins_within_it():
    assert said("so\n</think>\n\nfour", is_thinking=True) == ("so", "four", False)
    assert said("never closed", is_thinking=True) == ("never closed", "", False)


def test_a_stop_string_in_the_reasoning_ends_nothing():
    text = "<think>\nfirst STOP then\n</think>\n\nfour STOP five"
    assert said(text, stop=("STOP",)) == ("first STOP then", "four ", True)
    assert said(text, marks=None, stop=("STOP",)) == ("", "<think>\nfirst ", True)


def test_without_marks_all_is_the_answer():
    assert said("<think>a</think>b", marks=None) == ("", "<think>a</think>b", False)


def test_marks_that_are_special_tokens_are_seen():
    tokenizer = published("command")
    marks = think_marks(tokenizer)
    assert marks[:2] == ("<|START_THINKING|>", "<|END_THINKING|>")
    text = "<|START_THINKING|>why<|END_THINKING|>four"
    assert said(text, marks=marks, tokenizer=tokenizer) == ("why", "four", False)


@pytest.mark.parametrize("seed", range(20))
def test_any_answer_is_cut_the_same_way_however_it_comes(seed):
    chosen = random.Random(seed)
    parts = ["<think>", "</think>", "<thi", "\n", " ", "four", "\u00e9", "</", "think>"]
    text = "".join(chosen.choices(parts, k=12))
    said(text, stop=("four\n",), is_thinking=seed % 2 == 0)


def test_the_marks_are_those_of_the_tokenizer_or_of_its_template():
    assert think_marks(QWEN)[:2] == ("<think>", "</think>")
    assert think_marks(QWEN).opening_id == QWEN.convert_tokens_to_ids("<think>")
    assert think_marks(published("phi4")) is None
    spelled = train_tokenizer(["a"] * 3, 300, 512)
    spelled.chat_template = "{{ '<think></think>' }}"
    assert think_marks(spelled) == ThinkMarks("<think>", "</think>")


def test_a_prompt_may_end_within_a_block():
    marks = think_marks(QWEN)
    for text, wanted in (
        ("ask<think>\n", True),
        ("<think>\n\n</think>\n\n", False),
        ("ask", False),
    ):
        assert begins_thinking(QWEN, QWEN.encode(text), marks) is wanted
    assert not begins_thinking(QWEN, QWEN.encode("<think>"), None)


def test_a_request_may_keep_the_block():
    ids = QWEN.encode("<think>a</think>b")
    for keeps, wanted in ((False, "b"), (True, "<think>a</think>b")):
        request = GenerateRequest("r", (1,), None, SamplingParams(9), keeps_reasoning=keeps)
        stream = answer_stream(QWEN, request)
        assert stream.push(ids).text + stream.finish().text == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("<think>a</think>\n\nb", "b"), ("b", "b"), ("<think>a", ""), (" b <think>", " b <think>")],
)
def test_a_reference_loses_its_block_too(text, wanted):
    assert without_thought(text, PLAIN) == wanted
    assert without_thought(text, None) == text
