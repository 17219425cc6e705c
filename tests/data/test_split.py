from collections import Counter

import pytest

from loray.data.split import split_of
from loray.spec.data import SplitSpec


@pytest.mark.parametrize("split", [SplitSpec(), SplitSpec(validation=0.2, test=0.3)])
def test_groups_are_split_by_their_shares(split):
    found = Counter(split_of(f"group {n}", split, 0) for n in range(20_000))
    assert found["validation"] / 20_000 == pytest.approx(split.validation, abs=0.01)
    assert found["test"] / 20_000 == pytest.approx(split.test, abs=0.01)


def test_a_groups_split_depends_on_the_seed_and_on_nothing_else():
    groups = [f"group {n}" for n in range(500)]
    first = [split_of(g, SplitSpec(), 1) for g in groups]
    assert first == [split_of(g, SplitSpec(), 1) for g in groups]
    assert first != [split_of(g, SplitSpec(), 2) for g in groups]


def test_without_shares_everything_is_training():
    none = SplitSpec(validation=0.0, test=0.0)
    assert {split_of(str(n), none, 0) for n in range(1000)} == {"train"}


def test_a_larger_test_share_takes_no_row_out_of_the_test_split():
    small, large = SplitSpec(test=0.05), SplitSpec(test=0.1)
    held = [str(n) for n in range(2000) if split_of(str(n), small, 0) == "test"]
    assert all(split_of(group, large, 0) == "test" for group in held)
