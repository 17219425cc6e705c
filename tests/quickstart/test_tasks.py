"""Signatures and their two answers."""

import ast

import pytest

from loray.quickstart.corpus_modules import Module
from loray.quickstart.tasks import Routine, routines


def described(source: str) -> list[Routine]:
    return list(routines(Module(name="m", source=source, tree=ast.parse(source))))


@pytest.mark.parametrize(
    ("head", "prompt", "call"),
    [
        ("def f(a, b=1)", "def f(a, b=1)", "f(a)"),
        ("def f()", "def f()", "f()"),
        ("def f(a, /, b, *, c, d=2, **e)", "def f(a, /, b, *, c, d=2, **e)", "f(a, b, c=c)"),
        ("def f(*args)", "def f(*args)", "f()"),
        ("async def f(a: int) -> str", "async def f(a)", "f(a)"),
    ],
)
def test_a_function_is_called_with_what_it_requires(head, prompt, call):
    [found] = described(f'{head}:\n    """Return something useful."""\n')
    assert (found.prompt, found.call) == (prompt, call)


@pytest.mark.parametrize(
    ("member", "prompt", "call"),
    [
        ("def f(self, a)", "class C: def f(self, a)", "f(a)"),
        ("def __init__(self, a, b=0)", "class C: def __init__(self, a, b=0)", "C(a)"),
        ("@classmethod\n    def f(cls, a)", "class C: @classmethod def f(cls, a)", "f(a)"),
        ("@staticmethod\n    def f(a)", "class C: @staticmethod def f(a)", "f(a)"),
    ],
)
def test_a_method_names_its_class_and_drops_its_receiver(member, prompt, call):
    source = f'class C:\n    {member}:\n        """Do something."""\n'
    [found] = described(source)
    assert (found.prompt, found.call) == (prompt, call)


def test_the_summary_is_the_first_paragraph_on_one_line_with_its_spacing():
    source = 'def f(a):\n    """Return  a\n    list.\n\n    More."""\n'
    assert [found.summary for found in described(source)] == ["Return  a list."]


@pytest.mark.parametrize(
    ("head", "takes"),
    [
        ("def f()", "Takes nothing."),
        ("def f(a)", "Takes a."),
        ("def f(a, b, c)", "Takes a, b and c."),
        ("def f(a, b=1)", "Takes a, optionally b (1)."),
        ("def f(a='x', *, b, c=None)", "Takes b, optionally a ('x') and c (None)."),
        ("def f(a, *b, **c)", "Takes a, any more arguments, any keywords."),
    ],
)
def test_a_docstring_says_what_is_taken(head, takes):
    [found] = described(f'{head}:\n    """Return something useful."""\n')
    assert found.explanation == f"Return something useful.\n{takes}"


def test_a_docstring_leaves_out_the_receiver():
    source = 'class C:\n    def f(self, a):\n        """Do something."""\n'
    assert [found.takes for found in described(source)] == ["Takes a."]


@pytest.mark.parametrize(
    "source",
    [
        "def f(a):\n    return a\n",
        'def f(a):\n    """Short."""\n',
        'def f(a):\n    """' + "Long " * 30 + '"""\n',
        "def f(" + ", ".join(f"argument_{n}" for n in range(20)) + '):\n    """Return it all."""\n',
        'class C:\n    @property\n    def f(self):\n        """Return something."""\n',
        'class C:\n    @f.setter\n    def f(self, a):\n        """Set something."""\n',
        'class C:\n    def __eq__(self, other):\n        """Return whether equal."""\n',
    ],
)
def test_what_has_no_short_summary_or_no_call_is_left_out(source):
    assert described(source) == []
