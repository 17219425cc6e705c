"""What a stage says when it ends."""

from loray.pipeline.stages import curated_words


def test_a_dataset_counts_its_rows_over_task_and_replay() -> None:
    statistics = {
        "rows": {"in": 1_060, "kept": 1_050, "quarantined": 10},
        "splits": {"replay": {"test": 10, "train": 40}, "task": {"train": 990, "validation": 10}},
    }
    assert curated_words(statistics) == (
        "1,060 rows in, 1,050 kept (1,030 train, 10 validation, 10 test), 10 in quarantine; "
        "`loray data quarantine list` says why"
    )


def test_nothing_in_quarantine_needs_no_hint() -> None:
    statistics = {
        "rows": {"in": 6, "kept": 6, "quarantined": 0}, "splits": {"task": {"train": 6}},
    }  # fmt: skip
    assert curated_words(statistics) == (
        "6 rows in, 6 kept (6 train, 0 validation, 0 test), 0 in quarantine"
    )
