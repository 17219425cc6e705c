"""Definitions of tools get the form that clients send; what has neither form is a reason."""

import json
from typing import Any

import pytest

from loray.data.sources.decoding import FaultError, parse_line
from loray.data.sources.records import read_record
from loray.spec.fields import FieldsSpec

FIELDS = FieldsSpec(messages="messages", tools="tools")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BARE = {"name": "weather", "description": "The weather.", "parameters": SCHEMA}
WHOLE = {"type": "function", "function": BARE}
XLAM = {
    "name": "live_giveaways",
    "description": "",
    "parameters": {"type": {"description": "", "type": "str", "default": "beta"}},
}
MESSAGES = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def read(tools: Any) -> Any:
    return read_record(
        parse_line(json.dumps({"messages": MESSAGES, "tools": tools}).encode()), FIELDS
    )


@pytest.mark.parametrize(
    ("tools", "wanted", "is_wrapped"),
    [
        ([WHOLE], [WHOLE], False),
        ([BARE], [WHOLE], True),
        (json.dumps([BARE]), [WHOLE], True),
        ([WHOLE, BARE], [WHOLE, WHOLE], True),
        ([{"function": BARE}], [WHOLE], True),
        ([{"type": "function", **BARE, "strict": True}],
         [{"type": "function", "function": {**BARE, "strict": True}}], True),
        ([XLAM], [{"type": "function", "function": XLAM}], True),
        ([{"name": "now"}], [{"type": "function", "function": {"name": "now"}}], True),
        ([{**WHOLE, "strict": True}], [{**WHOLE, "strict": True}], False),
        ([{**BARE, "required": ["city"]}],
         [{"type": "function", "function": {**BARE, "required": ["city"]}}], True),
    ],
)  # fmt: skip
def test_definitions_get_the_form_that_clients_send(
    tools: Any, wanted: list[Any], is_wrapped: bool
) -> None:
    found = read(tools)
    assert json.loads(found.turns[0]["content"]) == wanted
    assert found.is_wrapped is is_wrapped


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        (["weather"], "tool 1 is text; wanted an object"),
        ([json.dumps(BARE)], "tool 1 is text"),
        ([WHOLE, {"description": "x"}], "tool 2 has no name; there are ['description']"),
        ([{"type": "function", "function": {}}], "tool 1 has no name"),
        ([{"type": "function", "function": "weather"}], "a function of text"),
        ([{"type": "web_search"}], "a type of text"),
        ([{"name": ""}], "tool 1 has no name"),
        ([{"name": 7}], "tool 1 has no name"),
        ([{"weather": BARE}], "there are ['weather']"),
        ([{"name": "weather", "input_schema": SCHEMA}], "(weather) has an input_schema"),
        ([{"name": "weather", "parameters": "city"}], "has parameters of text"),
        ([{"name": "weather", "parameters": ["city"]}], "has parameters of a list"),
        (BARE, "tools are an object; wanted a list"),
    ],
)
def test_what_is_no_definition_is_a_reason(tools: Any, words: str) -> None:
    with pytest.raises(FaultError, match="bad_tools") as caught:
        read(tools)
    assert words in str(caught.value.note)
