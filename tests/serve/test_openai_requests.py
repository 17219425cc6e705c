"""Checklist rows 16 to 18: whatever a client sends is done, or refused by name."""

import pytest

from loray.serve.openai_requests import parse_chat, parse_completion
from loray.serve.refusals import RefusedError

USER = {"role": "user", "content": "hi"}


def refusal(**fields):
    body = {"model": "m", "messages": [USER]} | fields
    with pytest.raises(RefusedError) as caught:
        parse_chat(body, max_new_tokens=256)
    assert caught.value.refused.status == 400
    return caught.value.refused


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("value", [0, -1, 257, 10**9, 1.0, 7.5, "7", True, [], {}])
def test_token_limits_are_whole_numbers_within_the_servers_range(field, value):
    refused = refusal(**{field: value})
    assert refused.param == field
    assert "wanted a whole number from 1 to 256" in refused.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", float("nan")), ("temperature", float("inf")), ("temperature", -0.1),
        ("temperature", 2.1), ("temperature", "1"), ("temperature", True),
        ("top_p", 2), ("top_p", 0), ("top_p", -1), ("top_p", float("nan")), ("top_p", False),
        ("seed", 1.5), ("seed", 2**63), ("seed", "1"), ("seed", True),
        ("stop", ""), ("stop", ["ok", ""]), ("stop", ["x"] * 1000), ("stop", "x" * 257),
        ("stop", 7), ("stop", [["a"]]),
        ("stream", "yes"), ("stream", 1),
        ("stream_options", {"include_usage": 1, "more": 1}), ("stream_options", []),
        ("model", ""), ("model", 3), ("model", "m" * 513),
        ("user", "u" * 513), ("user", 5),
        ("messages", []), ("messages", {}), ("messages", [USER] * 1025), ("messages", "hi"),
        ("messages", [{"role": "tool", "content": "x"}]), ("messages", [{"role": "user"}]),
        ("messages", [{"role": "user", "content": None}]),
        ("messages", [{"role": "user", "content": []}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", [{**USER, "tool_calls": []}]), ("messages", [USER, {"role": "assistant"}]),
        ("messages", [USER, {"role": "assistant", "content": "well"}]),
        ("messages", [{"role": "system", "content": "be kind"}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(field, value):
    refused = refusal(**{field: value})
    assert refused.param.split(".")[0] == field
    assert (
        "wanted" in refused.message or "leave it out" in refused.message or "end" in refused.message
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2), ("n", 10_000), ("n", True), ("n", "1"), ("best_of", 5), ("logprobs", 10**6),
        ("logprobs", True), ("top_logprobs", 5), ("presence_penalty", 0.5),
        ("frequency_penalty", -2), ("logit_bias", {str(i): 1 for i in range(1000)}),
        ("tools", [{"type": "function"}]), ("tool_choice", "required"),
        ("response_format", {"type": "json_object"}), ("modalities", ["audio"]), ("store", True),
        ("metadata", {"a": "b"}), ("service_tier", "priority"), ("reasoning_effort", "high"),
        ("chat_template", "{{ messages }}"), ("audio", {}), ("ignore_eos", True), ("top_k", 3),
    ],
)  # fmt: skip
def test_what_loray_does_not_do_is_refused_and_never_ignored(field, value):
    refused = refusal(**{field: value})
    assert refused.param == field
    assert refused.code in {"unsupported", "unknown_field"}


def test_fields_that_change_nothing_are_taken():
    neutral = {
        "n": 1, "presence_penalty": 0.0, "frequency_penalty": 0, "logit_bias": {},
        "logprobs": False, "top_logprobs": 0, "tools": [], "tool_choice": "auto",
        "parallel_tool_calls": True, "response_format": {"type": "text"}, "store": False,
        "metadata": None, "service_tier": "auto", "prompt_cache_key": "k", "user": "me",
        "max_tokens": None, "seed": None, "stop": None,
    }  # fmt: skip
    parse_chat({"model": "m", "messages": [USER]} | neutral, max_new_tokens=8)


def test_a_typing_error_gets_a_hint():
    assert "did you mean temperature?" in refusal(temprature=1).message


def test_messages_of_refusals_never_quote_the_prompt():
    for content in (["my secret"], {"my secret": 1}, [{"type": "text", "text": 5, "my": "secret"}]):
        refused = refusal(messages=[{"role": "user", "content": content}])
        assert "secret" not in refused.message


def test_text_parts_are_joined():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    chat = parse_chat(
        {"model": "m", "messages": [{"role": "user", "content": parts}]}, max_new_tokens=8
    )
    assert chat.messages[0].text == "ab"


def test_the_two_names_of_one_limit_must_agree():
    assert refusal(max_tokens=3, max_completion_tokens=4).param == "max_tokens"
    assert parse_chat(
        {"model": "m", "messages": [USER], "max_tokens": 3, "max_completion_tokens": 3},
        max_new_tokens=8,
    )


@pytest.mark.parametrize("prompt", [None, 5, [], ["a", "b"], [1, 2], [[1, 2]], {"a": 1}])
def test_a_raw_prompt_is_one_string(prompt):
    with pytest.raises(RefusedError) as caught:
        parse_completion({"model": "m", "prompt": prompt}, max_new_tokens=8)
    assert caught.value.refused.param.split(".")[0] == "prompt"


def test_options_of_a_stream_need_a_stream():
    assert refusal(stream_options={"include_usage": True}).param == "stream_options"


def test_a_missing_field_is_named():
    with pytest.raises(RefusedError) as caught:
        parse_completion({"model": "m"}, max_new_tokens=8)
    assert caught.value.refused.code == "missing_value"
    assert caught.value.refused.param == "prompt"
