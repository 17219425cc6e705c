"""Which trial is best, which is as good for less, and what else is worth a word."""

from loray.evaluate.scorecard import CheckpointScore
from loray.pipeline.plan import Plan
from loray.pipeline.sweep import (
    PlannedTrial,
    Trial,
    TrialResult,
    advise,
    best_of,
    cheapest_near,
)
from loray.spec.grid import Axis
from loray.spec.load import parse_run_spec
from tests.evaluate.cards import scorecard, suite_score

SPEC = """\
name: bot
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: rows.jsonl, fields: {prompt: q, completion: a}}]}
train: {steps: 100}
method: {kind: lora}
"""
RANKS = Axis("method.rank", (4, 8, 16))


def result(
    rank: int, value: float | None, *, metric: str = "perplexity", failure: str = ""
) -> TrialResult:
    """A trial whose best checkpoint, the second of three, has this value on the validation rows."""
    overrides = (f"method.rank={rank}",)
    spec = parse_run_spec(SPEC, overrides=[*overrides, f"evaluate.select_by={metric}"])
    planned = PlannedTrial(Trial(overrides, spec), Plan(()), 1000 * rank)
    if failure:
        return TrialResult(planned, failure=failure)
    worse = suite_score(**{metric: 99.0})
    card = scorecard(
        selected_by=metric,
        best_step=200,
        checkpoints=(
            CheckpointScore(step=100, validation=worse),
            CheckpointScore(step=200, validation=suite_score(**{metric: value})),
            CheckpointScore(step=300, validation=worse),
        ),
    )
    return TrialResult(planned, card=card, train_seconds=1.0)


def test_trials_are_compared_by_the_validation_score_of_their_best_checkpoint() -> None:
    results = [result(4, 3.0), result(8, 2.0), result(16, 2.5)]
    assert [each.value for each in results] == [3.0, 2.0, 2.5]
    assert best_of(results) is results[1]
    by_match = [result(rank, value, metric="exact_match") for rank, value in ((4, 0.3), (8, 0.2))]
    assert best_of(by_match) is by_match[0]


def test_without_validation_rows_the_test_rows_decide() -> None:
    card = scorecard(checkpoints=(CheckpointScore(step=300, validation=None),), best_step=300)
    found = TrialResult(result(4, 1.0).planned, card=card)
    assert found.value == card.best["test"].metrics["perplexity"] == found.test_value


def test_a_trial_without_a_finite_score_is_never_the_best() -> None:
    results = [result(4, None), result(8, 5.0), result(16, 0.0, failure="it diverged")]
    assert best_of(results) is results[1]
    assert best_of([results[0], results[2]]) is None


def test_of_trials_within_one_percent_the_one_that_learns_least_is_named() -> None:
    results = [result(4, 2.03), result(8, 2.019), result(16, 2.0)]
    assert cheapest_near(results, results[2]) is results[1]
    best, smaller, end = advise(results, [RANKS])
    assert best == "best: method.rank=16 (perplexity 2)"
    assert smaller.startswith("as good with fewer parameters: method.rank=8 (perplexity 2.019")
    assert "8,000 learn instead of 16,000" in smaller
    assert end.startswith("the best method.rank is the highest that was tried")


def test_a_best_trial_in_the_middle_is_all_that_is_said() -> None:
    results = [result(4, 3.0), result(8, 2.0), result(16, 2.5)]
    assert advise(results, [RANKS]) == ["best: method.rank=8 (perplexity 2)"]


def test_failures_are_told_first_and_when_all_fail_there_is_nothing_to_compare() -> None:
    results = [result(rank, 0.0, failure="it diverged") for rank in (4, 8)]
    assert advise(results, [RANKS]) == [
        "2 of 2 trials failed: method.rank=4; method.rank=8",
        "no trial has a score to compare",
    ]
