"""The arguments of calls are learned with the values that a row has, however a template writes."""

import json

import pytest

from loray.errors import ModelError
from loray.models.call_fidelity import missing_of
from loray.models.chat import encode_lesson
from loray.models.json_numbers import parse_json
from loray.models.sandbox import render_template
from loray.spec.data import ChatSpec
from tests.data.test_unusual_chats import learned
from tests.models.test_chat import ask, tokenizer_with

VALUES = {
    "text": '{"city": "Oslo"}',
    "quotes": r"""{"say": "a \"b\" \\ c'd"}""",
    "lines": r'{"code": "if x:\n\treturn 1"}',
    "unicode": '{"city": "\u00c5s \u4f60 \U0001f600"}',
    "escapes": r'{"city": "\u00e9\u2028"}',
    "markup": """{"html": "<b>&amp;'</b>"}""",
    "numbers": '{"a": 1.50, "b": 1e5, "c": -3, "d": 12345678901234567890, "e": 0}',
    "flags": '{"on": true, "off": false, "none": null}',
    "nested": '{"at": {"x": [1, {"y": null}], "z": []}, "t": [true, "a"]}',
    "empty": "{}",
    "empty text": '{"city": ""}',
    "a key of blanks": '{"the city": "Oslo", "9": 9}',
}
WAYS = {
    "JSON": "{{ a | tojson }}",
    "JSON in ASCII": "{{ a | tojson(ensure_ascii=true) }}",
    "indented": "{{ a | tojson(indent=4) }}",
    "compact": "{{ a | tojson(separators=(',', ':')) }}",
    "sorted": "{{ a | tojson(sort_keys=true) }}",
    "parameters": "{% for k, v in a | items %}<{{ k }}>{% if v is string %}{{ v }}{% else %}"
    "{{ v | tojson }}{% endif %}</{{ k }}>{% endfor %}",
}
"""Ways of templates to write arguments that say all."""
FALSE = {
    "nothing": ("", set()),
    "the keys alone": ("{% for k in a %}{{ k }}: {% endfor %}", {"empty", "empty text"}),
    "the values alone": ("{% for v in a.values() %}{{ v | tojson }} {% endfor %}", {"empty"}),
    "Python's repr": ("{{ a }}", {"empty"}),
    "in capitals": ("{{ a | tojson | upper }}", {"empty"}),
    "cut off": ("{{ (a | tojson)[:5] }}", {"empty"}),
    "text alone": (
        "{% for k, v in a | items %}{{ k }}={{ v if v is string else '?' }} {% endfor %}",
        {"empty", "text", "quotes", "lines", "unicode", "escapes", "markup", "empty text"},
    ),
    "whole numbers": (
        (
            "{% for k, v in a | items %}{{ k }}={{ v | int if v is number else v | tojson }} "
            "{% endfor %}"
        ),
        set(VALUES) - {"numbers", "flags"},
    ),
    "Python within JSON": (
        (
            "{ {% for k, v in a | items %}{{ k | tojson }}: {{ v | tojson if v is string else v }}"
            "{% endfor %} }"
        ),
        set(VALUES) - {"flags", "nested"},
    ),
}
"""Ways that lose some, and the values that they do not."""


def written(way: str, value: str) -> tuple[object, str]:
    arguments = parse_json(VALUES[value])
    return arguments, render_template(way, {"a": arguments}, num_chars=100)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", VALUES)
def test_what_says_all_is_accepted(way: str, value: str) -> None:
    assert missing_of(*written(WAYS[way], value)) is None


@pytest.mark.parametrize("way", FALSE)
@pytest.mark.parametrize("value", [name for name in VALUES if name != "empty"])
def test_what_loses_a_value_is_told(way: str, value: str) -> None:
    source, fine = FALSE[way]
    if way == "nothing" or value not in fine:
        assert missing_of(*written(source, value)) is not None
    else:
        assert missing_of(*written(source, value)) is None


def test_a_word_is_not_found_within_another() -> None:
    assert missing_of({"n": 1}, "<n>10</n>") == "value of argument 'n' of a call"
    assert missing_of({"n": 1}, "<n>1.5</n>") is not None
    assert missing_of({"on": True}, "<on>trueish</on>") is not None
    assert missing_of({"city": "Oslo"}, "<city>Oslofjord</city>") is not None


def turns_with(arguments: str) -> list[dict[str, str]]:
    call = f'[{{"type": "function", "function": {{"name": "find", "arguments": {arguments}}}}}]'
    return [ask("where?")[0], {"role": "calls", "content": call}]


TEMPLATE = (
    "{% for m in messages %}<|user|>{{ m.content }}{% for call in m.tool_calls or [] %}"
    "{{ call.function.name }} @@{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|user|>{% endif %}"
)


def test_a_row_whose_call_would_be_learned_otherwise_is_refused() -> None:
    lossy = "{% for k, v in call.function.arguments | items %}{{ k }}={{ v | lower }} {% endfor %}"
    tokenizer = tokenizer_with(TEMPLATE.replace("@@", lossy))
    with pytest.raises(ModelError, match=r"turn 2 .* its value of argument 'city' of a call"):
        encode_lesson(turns_with('{"city": "Oslo"}'), tokenizer, ChatSpec())
    encode_lesson(turns_with('{"city": "oslo"}'), tokenizer, ChatSpec())


def test_a_template_that_writes_what_it_gets_is_given_json_text() -> None:
    tokenizer = tokenizer_with(TEMPLATE.replace("@@", "{{ call.function.arguments }}"))
    arguments = '{"on": true, "city": "\u00c5s", "n": 1.50, "none": null}'
    lesson = encode_lesson(turns_with(arguments), tokenizer, ChatSpec())
    assert learned(lesson, tokenizer) == [f"find {arguments}<|end|>"]
    assert json.loads(arguments)["none"] is None
