from collections.abc import Mapping
from typing import Any

import pytest

from loray.data.sources.decoding import FaultError, parse_line
from loray.data.sources.records import group_of, turns_of
from loray.spec.fields import FieldsSpec

PAIR = FieldsSpec(prompt="p", completion="c")
CHAT = FieldsSpec(messages="m")
TEXT = FieldsSpec(text="t", group="g")


def reason(call, *args) -> str:
    with pytest.raises(FaultError) as caught:
        call(*args)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"p": "a", "c": ', "malformed_json"),
        (b"not json", "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        (b'["a"]', "not_an_object"),
        (b'"007"', "not_an_object"),
        (b'{"p": "\xff"}', "invalid_utf8"),
        (b'{"p": "\xed\xa0\xbd"}', "invalid_utf8"),
    ],
)
def test_a_line_that_is_no_sound_object_says_why(line, wanted):
    assert reason(parse_line, line) == wanted


@pytest.mark.parametrize(
    ("record", "fields", "wanted"),
    [
        (b'{"p": "a"}', PAIR, "missing_field"),
        (b'{"p": null, "c": "x"}', PAIR, "missing_field"),
        (b'{"p": 7, "c": "x"}', PAIR, "field_not_text"),
        (b'{"p": NaN, "c": "x"}', PAIR, "malformed_json"),
        (b'{"p": ["a"], "c": "x"}', PAIR, "field_not_text"),
        (b'{"p": "a", "c": ""}', PAIR, "empty_completion"),
        (b'{"p": "a", "c": " \\n"}', PAIR, "empty_completion"),
        (b'{"p": "", "c": "x"}', PAIR, "empty_prompt"),
        (b'{"p": "\\ud83d", "c": "x"}', PAIR, "lone_surrogate"),
        (b'{"t": "  "}', TEXT, "empty_text"),
        (b'{"p": "a", "c": "b", "p": "b"}', PAIR, "duplicate_key"),
        (b'{"p": "a", "c": "b", "c": null}', PAIR, "duplicate_key"),
        (b'{"m": [], "m": []}', CHAT, "duplicate_key"),
        (b'{"m": [{"role": "user", "role": "user", "content": "x"}]}', CHAT, "duplicate_key"),
        (b'{"m": "hello"}', CHAT, "bad_messages"),
        (b'{"m": ["hello"]}', CHAT, "bad_messages"),
        (b'{"m": [{"content": "x"}]}', CHAT, "bad_messages"),
        (b'{"m": [{"role": "gpt", "content": "x"}]}', CHAT, "unknown_role"),
        (b'{"m": [{"role": "user", "content": "x"}]}', CHAT, "no_answer"),
        (b'{"m": []}', CHAT, "no_answer"),
        (b'{"m": [{"role": "assistant", "content": null}]}', CHAT, "missing_field"),
        (b'{"m": [{"role": "assistant", "content": [1]}]}', CHAT, "field_not_text"),
    ],
)
def test_a_record_without_sound_turns_says_why(record, fields, wanted):
    assert reason(lambda: turns_of(parse_line(record), fields)) == wanted


def test_text_is_never_taken_for_a_number_or_a_date():
    record = parse_line(b'{"p": "007", "c": "2024-01-01"}')
    assert [turn["content"] for turn in turns_of(record, PAIR)] == ["007", "2024-01-01"]


def test_a_pair_of_surrogates_is_one_character():
    assert (
        turns_of(parse_line(b'{"p": "\\ud83d\\ude00", "c": "x"}'), PAIR)[0]["content"]
        == "\U0001f600"
    )


def test_a_conversation_keeps_its_turns():
    line = b'{"m": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    assert turns_of(parse_line(line), CHAT) == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b'"a"', "a"),
        (b"7", "7"),
        (b"1.0", "1.0"),
        (b"12345678901234567890123", "12345678901234567890123"),
    ],
)
def test_a_group_is_text_or_a_number_as_it_is_spelled(value, wanted):
    assert group_of(parse_line(b'{"t": "x", "g": ' + value + b"}"), TEXT) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(b"null", "missing_field"), (b"true", "field_not_text"), (b"[]", "field_not_text")],
)
def test_a_group_of_another_kind_is_a_fault(value, wanted):
    assert reason(group_of, parse_line(b'{"g": ' + value + b"}"), TEXT) == wanted


@pytest.mark.parametrize(
    "other", [b'"x": "\\ud83d"', b'"x": 1, "x": 2', b'"x": {"y": 1, "y": 2}', b'"x": 1e999']
)
def test_an_unsound_field_that_no_one_asked_for_does_no_harm(other):
    assert turns_of(parse_line(b'{"p": "a", "c": "b", ' + other + b"}"), PAIR)


def test_a_key_that_stands_twice_in_a_tool_is_a_fault():
    said = b'{"m": [{"role": "assistant", "content": "a"}]'
    line = said + b', "t": [{"name": "a", "x": {"b": 1, "b": 2}}]}'
    assert reason(turns_of, parse_line(line), FieldsSpec(messages="m", tools="t")) == (
        "duplicate_key"
    )


CALL = '{"id": "c1", "function": {"name": "add", "arguments": {"a": 1.50, "b": 1e400}}}'


def talk(*messages: str, tools: str = "null") -> Mapping[str, Any]:
    return parse_line(f'{{"turns": [{", ".join(messages)}], "tools": {tools}}}'.encode())


TALK = FieldsSpec(messages="turns", tools="tools")


def test_tools_and_their_calls_are_kept_as_they_are_spelled():
    record = talk(
        '{"role": "user", "content": "add"}',
        f'{{"role": "assistant", "content": "so:", "tool_calls": [{CALL}]}}',
        '{"role": "tool", "content": "7", "tool_call_id": "c1"}',
        f'{{"role": "assistant", "content": null, "tool_calls": [{CALL}]}}',
        tools='[{"name": "add"}]',
    )
    assert turns_of(record, TALK) == [
        {"role": "tools", "content": '[{"type": "function", "function": {"name": "add"}}]'},
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": "so:"},
        {"role": "calls", "content": f"[{CALL}]"},
        {"role": "tool", "content": '{"content": "7", "tool_call_id": "c1"}'},
        {"role": "calls", "content": f"[{CALL}]"},
    ]


@pytest.mark.parametrize("tools", ["null", "[]", '""', '" "'])
def test_a_row_may_bring_no_tools(tools):
    record = talk('{"role": "assistant", "content": "a"}', tools=tools)
    assert [turn["role"] for turn in turns_of(record, TALK)] == ["assistant"]


def test_tools_may_be_json_text():
    record = talk(
        '{"role": "assistant", "content": "a"}',
        tools='"[{\\"function\\": {\\"name\\": \\"n\\", \\"v\\": 1.0}}]"',
    )
    said = '[{"type": "function", "function": {"name": "n", "v": 1.0}}]'
    assert turns_of(record, TALK)[0] == {"role": "tools", "content": said}


@pytest.mark.parametrize("tools", ['"{"', "[1]", '{"a": 1}', "7"])
def test_tools_of_another_shape_are_a_reason(tools):
    with pytest.raises(FaultError, match="bad_tools"):
        turns_of(talk('{"role": "assistant", "content": "a"}', tools=tools), TALK)


def test_calls_of_another_shape_are_a_reason():
    with pytest.raises(FaultError, match="bad_tools"):
        turns_of(talk('{"role": "assistant", "content": "a", "tool_calls": "add"}'), TALK)
