import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.batch import TURNS
from loray.data.steps import shingles as module
from loray.data.steps.shingles import shingle, start_of_exchange
from tests.data.steps.near_copies import plain_shingles

ROLES = ("user", "assistant")


def sets_of(*rows):
    turns = [
        row and [{"role": ROLES[at % 2], "content": text} for at, text in enumerate(row)]
        for row in rows
    ]
    found = shingle(pa.array(turns, TURNS))
    bounds = zip(found.starts[:-1], found.starts[1:], strict=True)
    return [set(found.hashes[a:b].tolist()) for a, b in bounds]


texts = st.text(alphabet="abA1 +.\n", max_size=30)


@given(st.lists(st.one_of(st.none(), st.lists(texts, min_size=1, max_size=4)), max_size=6))
def test_shingles_are_those_of_a_plain_account(rows):
    sets = sets_of(*rows)
    plain = [plain_shingles(row or []) for row in rows]
    assert [len(found) for found in sets] == [len(found) for found in plain]
    for one, plain_one in zip(sets, plain, strict=True):
        for other, plain_other in zip(sets, plain, strict=True):
            assert len(one & other) == len(plain_one & plain_other)


def test_a_turn_of_one_word_has_one_shingle_and_an_empty_one_none():
    assert [len(found) for found in sets_of(["yes"], ["", " \n"], ["a", "b"], None)] == [1, 0, 2, 0]


def test_marks_are_words_where_there_are_no_others():
    question, call, both = sets_of(["?"], ["!"], ["?!"])
    assert len(question) == len(call) == 1
    assert len(both) == 2
    assert not question & call


@pytest.mark.parametrize(
    ("roles", "start"),
    [
        ("u a", 0),
        ("s u a", 1),
        ("s u a u a", 3),
        ("u u a", 0),
        ("u a u u a", 2),
        ("u a u", 0),
        ("s u", 1),
        ("a u a", 1),
        ("tools u calls tool a", 1),
        ("text", 0),
        ("a", 0),
        ("", 0),
    ],
)
def test_the_exchange_begins_with_the_last_question_that_has_an_answer(roles, start):
    names = {"u": "user", "a": "assistant", "s": "system"}
    assert start_of_exchange([names.get(role, role) for role in roles.split()]) == start


def test_who_says_it_counts_but_not_layout_and_case():
    said, answered, loud = sets_of(["so it is", "no"], ["no", "so it is"], ["So,  it IS!", "No."])
    assert said == loud
    assert said != answered


def test_a_row_longer_than_a_slice_is_whole(monkeypatch):
    row = [" ".join(map(str, range(3000))), "and so on"]
    whole = sets_of(["a"], row, ["b", "c"])
    monkeypatch.setattr(module, "SLICE_CHARS", 100)
    assert sets_of(["a"], row, ["b", "c"]) == whole
