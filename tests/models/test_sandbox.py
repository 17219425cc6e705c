"""A chat template does what chats need and no more, in every thread."""

import json
import threading
import time

import pytest

from loray.errors import ModelError
from loray.models.chat import encode
from loray.models.json_numbers import as_json, parse_json
from loray.models.markup import Markup
from loray.models.sandbox import TemplateLimitError, render_template
from loray.spec.data import ChatSpec
from tests.models.published import NAMES, published
from tests.models.test_chat import ask, tokenizer_with

ROUNDS = "{% for i in range(40) %}"
MANY = "{% for i in range(99999) %}"
COSTLY = {
    "nested loops": MANY + MANY + "{% endfor %}{% endfor %}",
    "a loop's condition": "{% for i in range(99999) if i < 0 %}{% endfor %}" * 20,
    "a long text in a loop": "{% for i in range(99999) %}" + "x" * 10_000 + "{% endfor %}",
    "times": '{{ "a" * 50000000 }}',
    "times, a list": "{% for x in [1] * 10**9 %}{% endfor %}",
    "plus": "{% set n = namespace(x='aaaa') %}" + ROUNDS + "{% set n.x = n.x + n.x %}{% endfor %}",
    "tilde": "{% set n = namespace(x='aaaa') %}" + ROUNDS + "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "set block": "{% set n = namespace(x='aaaa') %}" + ROUNDS
    + "{% set y %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = y %}{% endfor %}",
    "nested lists": "{% set n = namespace(x=['a']) %}" + ROUNDS
    + "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "nested dicts": "{% set n = namespace(x=['a']) %}" + ROUNDS
    + "{% set n.x = {'a': n.x, 'b': n.x} %}{% endfor %}{{ n.x | tojson }}",
    "macros": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}"
    "{{ f(40) }}",
    "power": "{{ 10 ** (10 ** 8) }}",
    "percent": '{{ "%50000000d" % 1 }}',
    "percent, a star": '{{ "%*d" % (50000000, 1) }}',
    "format": '{{ "{:>50000000}".format(1) }}',
    "ljust": '{{ "a".ljust(50000000) }}',
    "zfill": '{{ "1".zfill(10**9) }}',
    "expandtabs": '{{ ("\\t" * 1000000).expandtabs(90000) }}',
    "replace": '{{ ("a" * 2000000).replace("a", "b" * 1000) }}',
    "replace, the filter": '{{ ("a" * 2000000) | replace("a", "b" * 1000) }}',
    "join": '{{ "".join(["a" * 1000000] * 10000) }}',
    "join, the filter": '{{ (["a" * 1000000] * 10000) | join }}',
    "tojson": '{{ (["a" * 1000000] * 1000) | tojson }}',
    "tojson, indented": "{{ ([1] * 1000) | tojson(indent=90000) }}",
    "string": '{{ (["a" * 1000000] * 1000) | string | length }}',
    "indent": '{{ "a" | indent(50000000, true) }}',
    "batch": "{{ [1] | batch(10**8, 0) | list | length }}",
    "sum of lists": "{{ ([[1]] * 99999) | sum(start=[]) | length }}",
    "lists in a loop": "{% for i in range(99999) %}{{ range(99999) | list | length }}{% endfor %}",
}  # fmt: skip
FAULTY = {
    "undefined": "{{ messages[0].nothing.more }}",
    "type": "{{ messages[0].content + 1 }}",
    "division": "{{ 1 / 0 }}",
    "range": "{% for i in range(10**9) %}{% endfor %}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "index": "{{ 'abc'.index('x') }}",
    "its own words": "{{ raise_exception('No such thing.') }}",
    "internals": "{{ ''.__class__.__mro__ }}",
    "changes a message": "{% for m in messages %}{{ m.update({'content': 'x'}) }}{% endfor %}",
    "a filter that is none": "{{ 1 | nothing }}",
    "chance": "{{ [1, 2] | random }}",
    "another file": "{% include 'other' %}",
    "no jinja": "{% for %}",
    "deep": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
}


@pytest.mark.parametrize("source", COSTLY.values(), ids=COSTLY)
def test_a_template_that_does_too_much_is_stopped_within_seconds(source):
    began = time.thread_time()
    with pytest.raises(TemplateLimitError, match="which no chat needs"):
        render_template(source, {}, num_chars=100)
    assert time.thread_time() - began < 8


def test_limits_hold_in_other_threads_and_for_each_rendering_anew():
    found = []

    def render():
        try:
            render_template(COSTLY["nested loops"], {}, num_chars=10)
        except TemplateLimitError as error:
            found.append(error)

    threads = [threading.Thread(target=render) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 2
    assert render_template("{% for i in range(9) %}{{ i }}{% endfor %}", {}, num_chars=1) == (
        "012345678"
    )


@pytest.mark.parametrize("source", FAULTY.values(), ids=FAULTY)
def test_whatever_a_template_raises_is_the_refusal_of_the_row(source):
    tokenizer = tokenizer_with(source)
    with pytest.raises(ModelError, match="the chat template refuses turns of roles user"):
        Markup(tokenizer).render(ask("a", "b"))
    with pytest.raises(ModelError):
        encode(ask("a", "b"), tokenizer, ChatSpec())


def test_a_refusal_says_what_the_template_says():
    tokenizer = tokenizer_with(FAULTY["its own words"])
    with pytest.raises(ModelError, match=r"No such thing\."):
        encode(ask("a", "b"), tokenizer, ChatSpec())


def test_a_long_row_may_take_more():
    loop = "{% for m in messages %}{{ m.content }}{{ m.content | trim }}{% endfor %}"
    text = "word " * 2_000_000
    messages = {"messages": [{"content": text}]}
    assert len(render_template(loop, messages, num_chars=len(text))) == 2 * len(text) - 1


@pytest.mark.parametrize("name", NAMES)
def test_templates_are_rendered_as_transformers_renders_them(name):
    tokenizer = published(name)
    messages = [*ask("What, 'me'?", 'It "is" {{ so }}.', "And?", "\u00e9 <&>")]
    theirs = tokenizer.apply_chat_template(messages, tokenize=False, date_string="26 Jul 2024")
    assert Markup(tokenizer).render(messages) == theirs


def test_numbers_keep_their_spelling():
    text = '{"a": 1.50, "b": [1e5, -0, 1.0, 12345678901234567890], "c": "1e5", "d": 1e999}'
    value = parse_json(text)
    assert as_json(value) == text
    assert value["b"][0] == 100_000
    assert json.loads(as_json(value, indent=2, sort_keys=True)) == json.loads(text)
    with pytest.raises(ValueError, match="NaN"):
        parse_json("[NaN]")
