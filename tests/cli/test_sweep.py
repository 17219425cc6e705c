"""What a sweep refuses before anything starts."""

from pathlib import Path

import pytest

SWEEP = ("sweep", "spec.yaml", "--set", "method.kind=lora")


def started(workplace: Path) -> bool:
    return (workplace / "workspace").exists()


def test_trials_that_do_not_fit_the_device_are_named_and_none_is_started(loray, workplace: Path):
    lists = ("--set-list", "method.rank=1,64", "--set-list", "train.batch.micro_size=1,2")
    plan = ("plan", "spec.yaml", "--set", "method={kind: lora, rank: 1}", "--json")
    micro = ("--set", "train.batch.micro_size=2")
    fits = loray(*plan, *micro).document["forecast"]["worker_bytes"]["total"]
    said = loray(*SWEEP, *lists, "--device-gib", str(1.001 * fits / 2**30))
    assert said.code == 2
    assert "1 of 4 trials do not fit a device" in said.err
    assert "none was started" in said.err
    assert "method.rank=64, train.batch.micro_size=2: a worker needs" in said.err
    assert "micro_size=1:" not in said.err
    assert not started(workplace)


def test_a_fault_of_any_trial_is_told_before_the_first_one_starts(loray, workplace: Path):
    said = loray(*SWEEP, "--set-list", "method.rank=4,0")
    assert said.code == 2
    assert "method.rank" in said.err
    assert not started(workplace)


def test_trials_of_different_datasets_are_not_compared(loray, workplace: Path):
    said = loray(*SWEEP, "--set-list", "data.sequence.max_tokens=64,128")
    assert said.code == 2
    assert "have different datasets" in said.err


@pytest.mark.parametrize("path", ["resources.workers=1,2", "evaluate.max_rows=10,20"])
def test_trials_that_are_the_same_training_are_refused(loray, path: str):
    said = loray(*SWEEP, "--set-list", path)
    assert said.code == 2
    assert "are the same training" in said.err


def test_more_combinations_than_anyone_means_are_refused(loray):
    ranks = ",".join(map(str, range(1, 66)))
    said = loray(*SWEEP, "--set-list", f"method.rank={ranks}")
    assert said.code == 2
    assert "found 65 combinations; wanted at most 64" in said.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Missing option '--set-list'"),
        (("--set-list", "method.rank=4", "--device", "abacus"), "found 'abacus'"),
        (("--set-list", "method.rank=4", "--device", "t4:2"), "is resources.workers"),
        (("--set-list", "method.rank=4", "--device", "t4", "--device-gib", "4"), "not both"),
    ],
)
def test_a_command_line_that_says_too_little_or_two_things_is_refused(loray, options, words: str):
    said = loray(*SWEEP, *options)
    assert said.code == 2
    assert words in said.err
