import numpy as np
import pytest

from loray.data.totals import check_budget, odd_columns, statistics_of
from loray.errors import DatasetError, SourceError
from tests.data.corpora import data_spec, source
from tests.data.ledgers import ledger_of

SPLITS = ["train"] * 8 + ["validation", "test"]


def test_a_corpus_within_its_budget_passes():
    ledger = ledger_of([[3]] * 10, splits=SPLITS)
    ledger.rejected_by[:5] = "malformed_json"
    check_budget(ledger, data_spec(source("x"), max_rejected=0.5))


def test_a_corpus_over_its_budget_is_refused_with_the_reasons():
    ledger = ledger_of([[3]] * 10, splits=SPLITS)
    ledger.rejected_by[:3] = "malformed_json"
    ledger.rejected_by[3:5] = "exact_duplicate"
    with pytest.raises(SourceError, match=r"5 of 10 .*\(malformed_json 3, exact_duplicate 2\)"):
        check_budget(ledger, data_spec(source("x"), max_rejected=0.49))


def test_rows_that_were_only_not_drawn_do_not_count_as_bad():
    ledger = ledger_of([[3]] * 10, splits=SPLITS)
    ledger.rejected_by[:5] = "not_drawn"
    check_budget(ledger, data_spec(source("x"), max_rejected=0.01))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_that_is_asked_for_and_empty_is_refused(split):
    splits = [name if name != split else "none" for name in SPLITS]
    with pytest.raises(DatasetError, match=f"no task row is left in the {split} split"):
        check_budget(ledger_of([[3]] * 10, splits=splits), data_spec(source("x")))


def test_a_split_that_is_not_asked_for_may_be_empty():
    ledger = ledger_of([[3]] * 10, splits=["train"] * 10)
    check_budget(ledger, data_spec(source("x"), split={"validation": 0.0, "test": 0.0}))


def test_replay_must_have_rows_to_train_on_and_to_measure_by():
    suites = ["task"] * 9 + ["replay"]
    splits = ["train"] * 7 + ["validation", "test", "train"]
    spec = data_spec(source("x"), replay={"source": source("y")})
    with pytest.raises(DatasetError, match="no replay row is left in the test split"):
        check_budget(ledger_of([[3]] * 10, splits=splits, suites=suites), spec)


def test_an_empty_corpus_is_refused():
    with pytest.raises(SourceError, match="hold no row at all"):
        check_budget(ledger_of([]), data_spec(source("x")))


def test_counts_add_up_for_the_whole_and_for_each_source():
    suites = ["task"] * 6 + ["replay"] * 4
    ledger = ledger_of([[4]] * 10, splits=["train"] * 9 + ["test"], suites=suites)
    ledger.rejected_by[:2] = "too_long"
    ledger.rejected_by[6] = "not_drawn"
    ledger.sequences.place[np.array([2, 3, 4, 5, 7, 8])] = range(6)
    found = statistics_of(ledger, num_packs=2, max_tokens=16, held_out={"test": 0})
    assert found["rows"] == {
        "in": 10,
        "kept": 7,
        "quarantined": 3,
        "rejected_by": {"not_drawn": 1, "too_long": 2},
    }
    assert found["sources"]["replay"]["quarantined"] == 1
    assert found["splits"] == {"replay": {"test": 1, "train": 2}, "task": {"train": 4}}
    assert (found["tokens"], found["target_tokens"], found["sequences"]) == (24, 18, 6)
    assert found["packing_efficiency"] == 0.75
    assert found["replay_fraction"] == pytest.approx(2 / 6, abs=1e-6)


def test_columns_that_are_not_read_are_told_by_source():
    ledger = ledger_of([[4]] * 10, splits=SPLITS)
    ledger.unread = {"sources.0": ["input", "tag"]}
    ledger.absent = {"sources.0": ["sys_prompt"]}
    found = statistics_of(ledger, num_packs=1, max_tokens=40, held_out={})
    assert found["sources"]["sources.0"]["columns_not_read"] == ["input", "tag"]
    assert list(odd_columns(found)) == [
        "sources.0: columns that are not read: input, tag",
        "sources.0: columns that fields names and that no row seems to have: sys_prompt",
    ]
    for name in ("columns_not_read", "columns_not_there"):  # a dataset of an earlier version
        del found["sources"]["sources.0"][name]
    assert list(odd_columns(found)) == []
