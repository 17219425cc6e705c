"""Test rows to look at, side by side; the same rows for the same results."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from loray.evaluate.metrics import row_scores
from loray.evaluate.rows import Row, RowResult
from loray.evaluate.scorecard import Sample, Turn
from loray.evaluate.words import lower_is_better
from loray.spec.evaluate import MetricName

PER_KIND = 4
"""Samples shown of each kind: best, worst and random."""
MAX_CHARS = 4000
"""Longer texts are cut in the scorecard, with a note of how much is missing."""


def choose_samples(
    rows: Sequence[Row],
    metrics: Sequence[MetricName],
    *,
    base: Mapping[str, RowResult],
    best: Mapping[str, RowResult],
) -> tuple[Sample, ...]:
    """The adapter's best rows, then its worst, then some drawn by a hash of their ids.

    Rows are ranked by the first metric of ROUGE-L, ROUGE-1, BLEU, exact match and perplexity that
    was measured; ties go to the larger gain over the base, then to the smaller id.
    """
    shown = [row for row in rows if row.id in base and row.id in best]
    rank = _ranking(metrics, base, best)
    ranked = sorted(shown, key=rank)
    drawn = sorted(shown, key=lambda row: hashlib.sha256(row.id.encode()).digest())
    picked: dict[str, tuple[str, Row]] = {}
    for kind, order in (("best", ranked), ("worst", ranked[::-1]), ("random", drawn)):
        fresh = [row for row in order if row.id not in picked]
        picked.update({row.id: (kind, row) for row in fresh[:PER_KIND]})
    return tuple(
        _sample(kind, row, metrics, base[row.id], best[row.id]) for kind, row in picked.values()
    )


def _ranking(
    metrics: Sequence[MetricName], base: Mapping[str, RowResult], best: Mapping[str, RowResult]
) -> Callable[[Row], tuple[float, float, str]]:
    """A sort key that puts the adapter's best rows first."""
    preferred: tuple[MetricName, ...] = ("rougeL", "rouge1", "bleu", "exact_match")
    answered = any(result.answer is not None for result in best.values())
    usable = [name for name in preferred if name in metrics and answered]
    metric: MetricName = usable[0] if usable else "perplexity"
    sign = 1.0 if lower_is_better(metric) else -1.0

    def goodness(row: Row, results: Mapping[str, RowResult]) -> float:
        score = row_scores([metric], results[row.id], row.compared)[metric]
        return float("inf") if score is None else sign * score

    def rank(row: Row) -> tuple[float, float, str]:
        after, before = goodness(row, best), goodness(row, base)
        gain = after - before if after != before else 0.0
        return after, gain, row.id

    return rank


def _sample(
    kind: str, row: Row, metrics: Iterable[MetricName], base: RowResult, best: RowResult
) -> Sample:
    names = list(metrics)
    return Sample(
        id=row.id,
        chosen=kind,  # type: ignore[arg-type]
        prompt=tuple(Turn(role=role, content=_cut(content)) for role, content in row.prompt),
        reference=_cut(row.compared),
        base_answer=None if base.answer is None else _cut(base.answer),
        best_answer=None if best.answer is None else _cut(best.answer),
        base_scores=row_scores(names, base, row.compared),
        best_scores=row_scores(names, best, row.compared),
    )


def _cut(text: str) -> str:
    missing = len(text) - MAX_CHARS
    return text if missing <= 0 else f"{text[:MAX_CHARS]} [... {missing} more characters]"
