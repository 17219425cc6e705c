import numpy as np
import pytest

from loray.data.steps.candidates import CROWD, Crowds
from loray.data.steps.crowds import OwnParts

FORM = set(range(0, 200, 2))
"""What all rows of a corpus share; even, so that it stands in no answer."""


def similarity(rows, one=0, other=1, *, with_answers=True):
    """Of the own parts of two rows, each of which has all other rows for a crowd."""
    sets = [np.array(sorted(row), dtype=np.uint64) for row in rows]
    members = np.full((len(rows), CROWD), -1, dtype=np.int32)
    for at in range(len(rows)):
        others = [row for row in range(len(rows)) if row != at][:CROWD]
        members[at, : len(others)] = others
    crowds = Crowds(np.arange(len(rows)), members)
    own = OwnParts(crowds, sets.__getitem__, with_answers=with_answers)
    assert own.similarity(one, other) == pytest.approx(own.similarity(other, one))
    return own.similarity(one, other)


def slot(at: int, size: int = 10) -> set[int]:
    return set(range(1000 * at + 1000, 1000 * at + 1000 + size))


def test_what_a_form_is_filled_with_is_compared_by_itself():
    rows = [FORM | slot(at) for at in range(6)]
    assert similarity(rows) == 0
    alike = slot(0, 9) | {77777}
    assert similarity([*rows, FORM | alike], 0, 6) == pytest.approx(9 / 11)


def test_rows_without_a_crowd_are_not_judged_by_it():
    assert similarity([FORM | slot(0), FORM | slot(1)]) == 1


def test_copies_that_lack_what_was_changed_in_them_are_alike():
    lost = [set(range(20 * at, 20 * at + 6, 2)) for at in range(8)]
    rows = [FORM - lost[at] | slot(at, 3) for at in range(8)]
    assert similarity(rows) == 1
    assert similarity([FORM, *rows], 0, 3) == 1


def test_a_change_that_many_rows_have_is_no_change_of_a_copy():
    rows = [FORM - {0, 2, 4} | slot(at % 3, 3) for at in range(9)]
    assert similarity([*rows, FORM]) == 0


def test_answers_count_if_the_rule_is_so():
    rows = [FORM | {1000 * at + 1001 for _ in range(3)} for at in range(5)]
    assert similarity(rows) == 0
    assert similarity(rows, with_answers=False) == 1
