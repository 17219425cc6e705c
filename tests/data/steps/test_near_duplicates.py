import random

import numpy as np
import pytest

from loray.data.steps import near_duplicates
from loray.data.steps.candidates import WINDOW
from loray.data.steps.similarity import Rule
from tests.data.steps.near_copies import Decision, plain_jaccard, planted, rows_of, scores
from tests.data.steps.near_rows import (
    INSTRUCTION,
    dropped,
    families,
    pair,
    short_messages,
    twins,
)

TEXT = " ".join(f"word{n}" for n in range(60))


def kept_of(*conversations, threshold=0.8, by_answers=False):
    table = rows_of(conversations)
    return Decision(table, Rule(threshold, by_answers)).of(table)


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.95])
def test_planted_copies_are_found_and_no_others(threshold):
    found = scores(400, seed=1, threshold=threshold)
    assert found["recall"] >= 0.99
    assert found["precision"] == 1.0


def test_the_row_with_the_smallest_id_stands_for_all():
    copies = [[TEXT, f"{TEXT} {ending}"] for ending in ("a", "b", "c", "d")]
    table = rows_of([*copies, ["something", "else"]])
    smallest = int(np.argmin([int(i, 16) for i in table["id"].to_pylist()[:4]]))
    assert Decision(table).of(table) == [smallest] * 4 + [4]


def test_every_row_of_a_chain_is_like_the_row_that_is_kept_for_it():
    words, rows = [f"w{n}" for n in range(150)], []
    for at in random.Random(0).sample(range(150), 60):
        rows.append([" ".join(words)])
        words[at] = f"v{at}"
    assert plain_jaccard(rows[0], rows[1]) > 0.9
    assert plain_jaccard(rows[0], rows[-1]) < 0.3
    table = rows_of(rows)
    decision = Decision(table)
    kept = decision.of(table)
    measured = dict(zip(decision.ids.tolist(), decision.similarity.tolist(), strict=True))
    ids = [int(digits, 16) for digits in table["id"].to_pylist()[:-1]]
    for at, original in enumerate(kept):
        assert plain_jaccard(rows[at], rows[original]) >= 0.8
        assert measured[ids[at]] == pytest.approx(plain_jaccard(rows[at], rows[original]))
        assert kept[original] == original
    assert 1 < len(set(kept)) < 50


def test_a_star_that_is_given_up_sets_its_rows_free():
    """Rows 1 and 2 have rows of their own when they are seen to be alike; 5 is like 2 alone."""
    keys = np.array(
        [[1, 10], [1, 11], [1, 12], [31, 11], [32, 12], [33, 12]],
        dtype=np.uint32,
    )
    alike = {(1, 3): 0.9, (2, 4): 0.9, (2, 5): 0.85, (1, 2): 0.88, (1, 4): 0.81}

    def likeness(pairs, crowds):
        return np.array([alike.get(tuple(pair), 0.0) for pair in pairs.tolist()])

    found = near_duplicates.find_originals(keys, likeness)
    assert found.kept.tolist() == [0, 1, 1, 1, 1, 5]
    assert found.similarity.tolist() == [1, 1, 0.88, 0.9, 0.81, 1]
    found = near_duplicates.find_originals(keys, likeness, np.arange(6) == 2)
    assert found.kept.tolist() == [0, 1, 2, 1, 2, 2]


@pytest.mark.parametrize("name", families())
def test_rows_that_say_something_else_are_kept(name):
    rows = families()[name]
    assert [dropped(rows, seed=seed) for seed in range(3)] == [[], [], []]


@pytest.mark.parametrize("name", twins())
def test_a_row_said_again_is_dropped(name):
    rows = twins()[name]
    assert [len(dropped(rows, seed=seed)) for seed in range(3)] == [len(rows) - 1] * 3


@pytest.mark.slow
@pytest.mark.parametrize("place", ["first", "last", "same line", "system", "first turns", "label"])
def test_short_messages_behind_a_long_instruction_are_kept(place):
    shapes = {
        "first": lambda text, label: pair(f"{INSTRUCTION}\n\n{text}", label),
        "last": lambda text, label: pair(f"{text}\n\n{INSTRUCTION}", label),
        "same line": lambda text, label: pair(f"{INSTRUCTION} {text}", label),
        "system": lambda text, label: [("system", INSTRUCTION), *pair(text, label)],
        "first turns": lambda text, label: [*pair(INSTRUCTION, "Fine."), *pair(text, label)],
        "label": lambda text, _: pair(f"{INSTRUCTION}\n\n{text}", "other"),
    }
    rows = [shapes[place](*message) for message in short_messages(3100)]
    assert len(rows) >= 3000
    assert len(INSTRUCTION.split()) >= 113
    copies = [[(role, text.upper()) for role, text in row] for row in rows[:30]]
    found = dropped([*rows, *copies])
    assert len([b for _, b in found if b < len(rows)]) <= 0.01 * len(rows) + 30
    twins_found = {frozenset(each) for each in found}
    assert sum({at, len(rows) + at} in twins_found for at in range(30)) == 30
    assert len(found) <= 0.01 * len(rows) + 30


def test_short_rows_that_differ_in_a_number_are_no_duplicates():
    rows = [[f"what is {n} + {n}?", f"it is {2 * n}"] for n in range(50)]
    assert kept_of(*rows) == list(range(50))


def test_short_rows_that_differ_in_layout_are_duplicates():
    rows = [
        ["What is the capital of France?", "Paris."],
        ["what is  the capital of france", "Paris"],
    ]
    assert len(set(kept_of(*rows))) == 1


def test_rows_of_one_word_and_of_none():
    assert len(set(kept_of(["yes"], ["Yes!"]))) == 1
    assert kept_of(["yes"], ["no"], [""], [""], None, None) == [0, 1, 2, 3, 4, 5]
    assert len(set(kept_of(["?"], ["?"], ["!"]))) == 2


def test_rows_that_answer_otherwise_are_kept_if_the_rule_is_so():
    rows = [[f"{TEXT} What is it?", "a cat"], [f"{TEXT} What is it?", "my aunt"]]
    rows += [[f"{TEXT} What is it", "A cat."]]
    assert len(set(kept_of(*rows))) == 1
    kept = kept_of(*rows, by_answers=True)
    assert kept[0] == kept[2]
    assert kept[1] == 1


def test_rows_without_answers_are_compared_as_they_are():
    assert len(set(kept_of([TEXT], [f"{TEXT} too"], by_answers=True))) == 1


def test_words_of_every_script_count():
    chinese = "\u6211\u4eec\u4eca\u5929\u53bb\u516c\u56ed\u6563\u6b65\u5e76\u5403\u5348\u996d"
    turned = chinese[::-1]
    kept = kept_of(
        [chinese, "caf\u00e9"], [f"{chinese}\u3002", "cafe\u0301"], [turned, "caf\u00e9"]
    )
    assert kept[0] == kept[1]
    assert kept[2] == 2


def test_at_a_threshold_of_one_only_equal_sets_are_duplicates():
    rows = [[TEXT, "a"], [TEXT.upper(), "a!"], [f"{TEXT} more", "a"]]
    kept = kept_of(*rows, threshold=1.0)
    assert kept[0] == kept[1]
    assert kept[2] == 2


def test_batches_and_order_make_no_difference():
    pairs = planted(60, seed=5, num_words=40)
    conversations = [row for pair in pairs for row in pair]
    table = rows_of([*conversations, None])
    whole = Decision(table, batch_rows=10_000).kept
    assert len(set(whole.values())) < len(whole)
    order = list(range(table.num_rows))
    random.Random(3).shuffle(order)
    for batch_rows in (1, 7, 100):
        assert Decision(table.take(order), batch_rows=batch_rows).kept == whole


def test_rounds_of_any_size_find_the_same(monkeypatch):
    table = rows_of([row for pair in planted(150, seed=6, num_words=40) for row in pair])
    whole = Decision(table).kept
    monkeypatch.setattr(near_duplicates, "ROUND_PAIRS", 5)
    assert Decision(table).kept == whole


@pytest.mark.slow
def test_near_equal_rows_take_a_comparison_each():
    rows = [[TEXT, f"number {n}"] for n in range(20_000)]
    decision = Decision(rows_of(rows))
    assert len(set(decision.kept.values())) == 1
    assert decision.num_compared < 2 * len(rows)


@pytest.mark.slow
def test_a_shared_preamble_takes_a_bounded_number_of_comparisons():
    draw = random.Random(0)
    rows = [[TEXT, " ".join(f"v{draw.randrange(9999)}" for _ in range(25))] for _ in range(3000)]
    rows += [[*rows[at][:1], f"{rows[at][1]} indeed"] for at in range(0, 3000, 100)]
    assert 0.5 < plain_jaccard(rows[0], rows[1]) < 0.8
    table = rows_of(rows)
    decision = Decision(table)
    kept = decision.of(table)
    assert decision.num_compared < decision.keys.shape[1] * WINDOW * len(rows) / 2
    assert all(kept[at // 100 * 100] == kept[3000 + at // 100] for at in range(0, 3000, 100))
    assert len(set(kept)) == 3000
