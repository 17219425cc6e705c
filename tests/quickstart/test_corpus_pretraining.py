"""What the base model reads, and above all what it does not."""

import ast

from loray.quickstart.corpus_modules import Module
from loray.quickstart.corpus_pretraining import (
    MAX_PIECE_CHARS,
    echo_rows,
    routine_rows,
    source_pieces,
    unseen,
)
from loray.quickstart.tasks import routines

SOURCE = '''"""A module that says at some length what it is good for, for once."""

import os


@decorated
def first(a, b=1):
    """Return the first of two things."""
    return a


class Second:
    """A class with a docstring that is long enough to be worth an explanation."""

    def third(self, c):
        """Return the third thing of all.

        With details.
        """
        return c
'''


def module(source: str, name: str = "m") -> Module:
    return Module(name=name, source=source, tree=ast.parse(source))


def test_source_pieces_are_the_source():
    long = SOURCE + "\n\n".join(f"def f{n}(a):\n    return a + {n}\n" for n in range(90))
    found = list(source_pieces(module(long)))
    assert "".join(found) == long
    assert len(found) > 2
    assert all(len(piece) <= MAX_PIECE_CHARS for piece in found)


def test_a_routine_is_given_whole_while_it_is_short_and_by_its_head_when_long():
    body = "".join(f"        c += {n}\n" for n in range(200))
    texts = [
        row["text"] for row in routine_rows([module(SOURCE.replace("        return c\n", body))])
    ]
    assert texts[0].endswith("return a")
    assert texts[1].startswith("def third(self, c):")
    assert texts[1].endswith('With details.\n    """')


def test_no_documented_routine_has_the_summary_or_signature_of_a_judged_one():
    judged = list(routines(module(SOURCE, name="held")))
    twin = 'def other(x):\n    """Return the first of two things."""\n    return x\n'
    same_head = 'def first(a, b=1):\n    """Return b."""\n    return b\n'
    free = 'def free(x):\n    """Return a free thing."""\n    return x\n'
    rows = [{"module": "m", "text": text} for text in (twin, same_head, free, free)]
    assert [row["text"] for row in unseen(rows, judged)] == [free]


def test_a_method_elsewhere_with_a_judged_summary_is_left_out_too():
    judged = list(routines(module(SOURCE, name="held")))
    assert list(unseen([{"module": "m", "text": SOURCE}], judged)) == []


def test_copying_exercises_repeat_names_of_the_texts_and_are_always_the_same():
    texts = [{"module": "m", "text": SOURCE}]
    found = list(echo_rows(texts, 200))
    assert found == list(echo_rows(texts, 200))
    assert all(row["prompt"] == row["completion"] for row in found)
    assert all(n.strip(",") in SOURCE for row in found for n in row["prompt"].split())
    assert len({row["prompt"] for row in found}) > 150
