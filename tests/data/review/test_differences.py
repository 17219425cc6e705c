from pathlib import Path

import pytest

from loray.data.review.differences import find_differences, texts_of
from tests.data.corpora import pairs
from tests.data.review.made import ODD, make_dataset, small_spec


@pytest.fixture
def dataset(tmp_path, tokenizer_dir):
    """Make a dataset of rows, and of a spec's blocks, in a folder of its own."""

    def make(name: str, rows: list, seed: int = 0, **blocks) -> Path:
        spec = small_spec(tmp_path / name, tokenizer_dir, rows, **blocks)
        return make_dataset(spec.model_copy(update={"seed": seed}))

    return make


def counts(first: Path, second: Path) -> dict:
    found = find_differences(first, second, 3)
    return {kind: count for kind, count in found.counts.items() if count}


ROWS = [*pairs(60), *ODD]


def test_a_dataset_does_not_differ_from_itself_wherever_it_lies(dataset):
    first, second = dataset("a", ROWS), dataset("b", ROWS)
    found = find_differences(first, second, 3)
    assert not any(found.counts.values())
    assert found.num_same == len(ROWS)


def test_rows_at_the_end_are_added_or_removed(dataset):
    first, second = dataset("a", ROWS), dataset("b", [*ROWS, *pairs(3, 900)])
    assert counts(first, second) == {"added": 3}
    assert counts(second, first) == {"removed": 3}


def test_a_row_before_others_moves_them(dataset):
    first, second = dataset("a", pairs(60)), dataset("b", [*pairs(1, 900), *pairs(60)])
    assert counts(first, second) == {"added": 1, "moved": 60}


def test_a_row_that_was_edited_is_told_from_one_that_is_new(dataset):
    rows = [*pairs(60)]
    first = dataset("a", rows)
    rows[59] = {**rows[59], "reply": "it is another answer"}
    second = dataset("b", rows)
    found = find_differences(first, second, 3)
    assert found.counts["text"] == 1
    assert found.counts["added"] == found.counts["removed"] == 0
    (difference,) = found.examples["text"]
    assert difference.before.line == difference.after.line == 60
    assert "another answer" in texts_of(second, [difference.after.id])[difference.after.id]
    assert "59" in texts_of(first, [difference.before.id])[difference.before.id]


def test_what_a_step_makes_of_a_text_is_a_change_of_it(dataset):
    first = dataset("a", ROWS)
    without = [{"kind": k} for k in ("unicode", "length", "quality", "exact_duplicates")]
    second = dataset("b", ROWS, steps=without)
    assert counts(first, second)["text"] == 1


def test_another_seed_changes_splits_alone(dataset):
    first, second = dataset("a", pairs(60)), dataset("b", pairs(60), seed=1)
    found = counts(first, second)
    assert found.keys() == {"split"}


def test_a_rule_changes_the_reason(dataset):
    first = dataset("a", ROWS)
    second = dataset("b", ROWS, readmit=[{"reason": "truncated"}])
    assert counts(first, second) == {"reason": 1}
    (difference,) = find_differences(first, second, 3).examples["reason"]
    assert (difference.before.state, difference.after.state) == ("truncated", "kept")


def test_there_are_only_so_many_examples(dataset):
    first, second = dataset("a", pairs(60)), dataset("b", pairs(60, 900))
    found = find_differences(first, second, 2)
    assert found.counts["text"] == 60
    assert len(found.examples["text"]) == 2
