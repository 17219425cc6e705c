import sys

import pytest

from loray.data.steps import own
from loray.data.steps.own import Reject, Turn, apply, load_function, source_digest
from loray.errors import DatasetError, SpecError

ROW: list[Turn] = [
    {"role": "user", "content": " Hello "},
    {"role": "assistant", "content": " Hi "},
]
MODULE = """
from loray.data.steps.own import Reject, Turn

NUMBER = 7

class Step:
    pass

async def later(turns):
    return turns

def two(turns, more):
    return turns

def strip(turns: list[Turn]) -> list[Turn] | Reject:
    if len(turns) < 2:
        return Reject("too_few_turns")
    return [{**turn, "content": turn["content"].strip()} for turn in turns]
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "cleaning_steps").mkdir()
    (tmp_path / "cleaning_steps" / "first.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "cleaning_steps" / "broken.py").write_text("import not_there\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "cleaning_steps" / "first.py"
    for name in [name for name in sys.modules if name.startswith("cleaning_steps")]:
        del sys.modules[name]


def test_a_function_is_found_by_its_path_and_changes_or_rejects_rows(module):
    strip = load_function("cleaning_steps.first:strip")
    assert [turn["content"] for turn in apply(strip, "x:strip", ROW)] == ["Hello", "Hi"]
    assert apply(strip, "x:strip", ROW[:1]) == Reject("too_few_turns")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("strip", "wanted package.module:function"),
        ("a b:c", "wanted package.module:function"),
        ("a:b.c", "wanted package.module:function"),
        (".a:b", "wanted package.module:function"),
        (
            "no_such_place.x:f",
            "module 'no_such_place' .* is not importable .*; install it in the image",
        ),
        ("cleaning_steps.second:f", "module 'cleaning_steps.second' .* is not importable"),
        ("cleaning_steps.first:f", "has no function 'f'; .*; define it"),
        ("cleaning_steps.first:NUMBER", "is an int; wanted a plain function"),
        ("cleaning_steps.first:Step", "is the class Step; wanted"),
        ("cleaning_steps.first:later", "is an async function; wanted"),
        ("cleaning_steps.first:two", "cannot be called with a list of turns alone .*'more'"),
    ],
)
def test_what_is_no_step_is_refused_with_the_remedy(module, path, message):
    with pytest.raises(SpecError, match=message):
        load_function(path)


def test_what_a_users_module_fails_to_import_is_its_own_error(module):
    with pytest.raises(ModuleNotFoundError, match="not_there") as caught:
        load_function("cleaning_steps.broken:f")
    assert caught.value.__notes__ == [
        "while importing 'cleaning_steps.broken' for the step 'cleaning_steps.broken:f'"
    ]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None .*missing"),
        ("text", "returned a str; wanted a list of turns"),
        ((), "returned a tuple"),
        ((turn for turn in ROW), "returned a generator"),
        ([], "returned no turns"),
        (["text"], "a list with a str in it"),
        ([{"role": "user"}], r"a dict with the keys \['role'\]"),
        ([{"role": "user", "content": "x", "n": 1}], "with the keys"),
        ([{"role": "bot", "content": "x"}], "the role 'bot', none of"),
        ([{"role": ["user"], "content": "x"}], "the role"),
        ([{"role": "user", "content": 3}], "whose content is an int"),
        ([{"role": "user", "content": "\ud800"}], "half a surrogate pair"),
        (Reject("Too short!"), r"Reject\('Too short!'\)"),
        (Reject(3), r"Reject\(3\)"),
        (Reject, "returned the class Reject"),
    ],
)
def test_what_is_neither_turns_nor_a_rejection_names_the_function(returned, message):
    with pytest.raises(DatasetError, match=message) as caught:
        apply(lambda turns: returned, "mine:step", ROW)
    assert str(caught.value).startswith("the step 'mine:step' returned ")
    assert "correct the function" in str(caught.value)


def test_a_function_works_on_turns_of_its_own():
    def shout(turns: list[Turn]) -> list[Turn]:
        for turn in turns:
            turn["content"] = "!"
        return turns[:1]

    assert apply(shout, "x:shout", ROW) == [{"role": "user", "content": "!"}]
    assert ROW[0]["content"] == " Hello "


def test_an_error_of_the_function_passes_through_and_says_where():
    def fail(turns):
        return turns[9]

    with pytest.raises(IndexError) as caught:
        apply(fail, "x:fail", ROW)
    assert "raised by the step 'x:fail'" in caught.value.__notes__[0]


def test_other_code_has_another_digest(module):
    strip = load_function("cleaning_steps.first:strip")
    first = source_digest(strip)
    assert len(first) == 16
    module.write_text(MODULE + "\n# changed\n", encoding="utf-8")
    assert source_digest(strip) != first
    assert source_digest(own.load_function) != first
    with pytest.raises(SpecError, match="has no source file"):
        source_digest(len)
