"""From row results to a scorecard: pure, so that it can be tested without a model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from loray.errors import EvaluationError
from loray.evaluate.compare import compare
from loray.evaluate.gates import judge
from loray.evaluate.metrics import describe_settings, finite, measure
from loray.evaluate.rows import BASE, CHECKPOINTS, SUITES, Candidate, Row, RowResult, Suite
from loray.evaluate.samples import choose_samples
from loray.evaluate.scorecard import CheckpointScore, Comparison, Scorecard, SuiteScore
from loray.evaluate.verdict import verdict
from loray.evaluate.words import TITLES, is_better
from loray.evaluate.work import Results, Suites, metrics_of
from loray.spec.evaluate import GENERATED, MetricName
from loray.spec.run import RunSpec

MANY_CUT = 0.1
"""Share of answers cut at max_new_tokens above which the report warns."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found, before it is put into words."""

    spec: RunSpec
    suites: Suites
    checkpoints: Sequence[Candidate]
    results: Results


def score_suite(
    metrics: Sequence[MetricName], results: Sequence[RowResult], rows: Sequence[Row]
) -> SuiteScore:
    """One candidate's scores on one suite."""
    answered = [result for result in results if result.answer is not None]
    entropies = [r.mean_entropy for r in answered if r.mean_entropy is not None]
    return SuiteScore(
        rows=len(results),
        answered=len(answered),
        target_tokens=sum(result.num_targets for result in results),
        metrics=measure(metrics, results, {row.id: row.reference for row in rows}),
        answers_cut=sum(result.is_cut for result in answered),
        mean_entropy=finite(math.fsum(entropies) / len(entropies)) if entropies else None,
        too_long=sum(result.is_too_long for result in results),
    )


def choose_checkpoint(found: Evaluation) -> Candidate:
    """The best checkpoint on the validation rows; of equals the earliest; without rows the last.

    Raises:
        EvaluationError: no checkpoint has a finite value there.
    """
    if not found.suites["validation"]:
        return found.checkpoints[-1]
    metric = found.spec.evaluate.select_by
    best: tuple[float, Candidate] | None = None
    for checkpoint in found.checkpoints:
        score = _score(found, checkpoint.name, "validation")
        value = None if score is None else score.metrics[metric]
        if value is not None and (best is None or is_better(metric, value, than=best[0])):
            best = (value, checkpoint)
    if best is None:
        raise EvaluationError(
            f"none of {len(found.checkpoints)} checkpoint(s) has a finite {TITLES[metric]} on the "
            "validation rows: training diverged, or no validation row has a prompt to answer; "
            "look at the loss in history.jsonl, lower train.optimizer.learning_rate, or set "
            "evaluate.select_by: perplexity"
        )
    return best[1]


def build_scorecard(found: Evaluation, best: Candidate, *, digest: str) -> Scorecard:
    """The whole scorecard.

    Args:
        digest: SHA-256 that names the best checkpoint's weights.
    """
    spec = found.spec
    trained: Literal["adapter", "model"] = "model" if spec.method.kind == "full" else "adapter"
    base_scores = _scores(found, BASE)
    best_scores = _scores(found, best.name)
    gates = judge(spec.gates, base=base_scores, best=best_scores)
    comparisons = _comparisons(found, best, base_scores, best_scores)
    is_sound = all(score.metrics["perplexity"] is not None for score in best_scores.values())
    return Scorecard(
        name=spec.name,
        trained=trained,
        passed=is_sound and all(gate.passed for gate in gates),
        verdict=verdict(
            trained=trained,
            step=best.step,
            gates=gates,
            comparisons=comparisons,
            test_rows=len(found.suites["test"]),
            is_sound=is_sound,
        ),
        selected_by=spec.evaluate.select_by,
        best_step=best.step,
        best_checkpoint=f"{CHECKPOINTS}/{best.name}",
        best_digest=digest,
        checkpoints=tuple(
            CheckpointScore(step=c.step, validation=_score(found, c.name, "validation"))
            for c in found.checkpoints
        ),
        base=base_scores,
        best=best_scores,
        comparisons=comparisons,
        gates=gates,
        samples=choose_samples(
            found.suites["test"],
            metrics_of("test", spec),
            base=_by_id(found, BASE, "test"),
            best=_by_id(found, best.name, "test"),
        ),
        notes=tuple(_notes(found, best_scores)),
        settings=describe_settings(),
    )


def _score(found: Evaluation, candidate: str, suite: Suite) -> SuiteScore | None:
    results = found.results.get((candidate, suite))
    if not results:
        return None
    return score_suite(metrics_of(suite, found.spec), results, found.suites[suite])


def _scores(found: Evaluation, candidate: str) -> dict[str, SuiteScore]:
    scores = {suite: _score(found, candidate, suite) for suite in SUITES}
    return {suite: score for suite, score in scores.items() if score is not None}


def _by_id(found: Evaluation, candidate: str, suite: Suite) -> dict[str, RowResult]:
    return {result.id: result for result in found.results.get((candidate, suite), ())}


def _comparisons(
    found: Evaluation,
    best: Candidate,
    base_scores: Mapping[str, SuiteScore],
    best_scores: Mapping[str, SuiteScore],
) -> tuple[Comparison, ...]:
    all_of_them: tuple[Comparison, ...] = ()
    for suite in ("test", "general"):
        if suite in base_scores and suite in best_scores:
            all_of_them += compare(
                suite,
                metrics_of(suite, found.spec),
                base=(base_scores[suite], found.results[BASE, suite]),
                best=(best_scores[suite], found.results[best.name, suite]),
                references={row.id: row.reference for row in found.suites[suite]},
            )
    return all_of_them


def _notes(found: Evaluation, best_scores: Mapping[str, SuiteScore]) -> list[str]:
    notes = []
    if not found.suites["validation"]:
        notes.append(
            "No row was held out for validation (data.split.validation), so the last checkpoint "
            "was taken without a choice."
        )
    if not found.suites["test"]:
        notes.append(
            "No row was held out for testing (data.split.test), so nothing was judged on the task."
        )
    test = best_scores.get("test")
    if test is None:
        return notes
    asked = any(name in GENERATED for name in metrics_of("test", found.spec))
    raw = sum(not row.prompt for row in found.suites["test"])
    if asked and raw:
        notes.append(
            f"{raw} of {test.rows} test rows are raw text without a prompt: "
            "they count for perplexity only."
        )
    if test.too_long:
        notes.append(
            f"{test.too_long} of {test.rows} test rows exceed the model's context, and what does "
            "not fit of them was not scored: lower data.sequence.max_tokens, so that curation puts "
            "such rows aside."
        )
    if test.answered and test.answers_cut > MANY_CUT * test.answered:
        notes.append(
            f"{test.answers_cut} of {test.answered} of its answers were cut at "
            f"{found.spec.evaluate.max_new_tokens} tokens (evaluate.max_new_tokens): it rambles, "
            "or the limit is too low for this task."
        )
    return notes
