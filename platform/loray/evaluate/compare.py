"""The best checkpoint against the base, and how much of the difference could be chance."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from loray.evaluate.metrics import finite, row_scores
from loray.evaluate.rows import RowResult
from loray.evaluate.scorecard import Comparison, Interval, SuiteScore
from loray.spec.evaluate import MetricName

Numbers = npt.NDArray[np.float64]
RESAMPLES = 1000
LARGEST_NATS = 700.0
"""exp overflows a little above."""
FEWEST_ROWS = 10
"""Below this, resampled rows say too little for an interval to be shown."""


def compare(
    suite: Literal["test", "general"],
    metrics: Iterable[MetricName],
    *,
    base: tuple[SuiteScore, Sequence[RowResult]],
    best: tuple[SuiteScore, Sequence[RowResult]],
    references: Mapping[str, str],
) -> tuple[Comparison, ...]:
    """Each metric of `best` against `base`, both scored on the same rows in the same order."""
    found = []
    for metric in metrics:
        before, after = base[0].metrics.get(metric), best[0].metrics.get(metric)
        is_known = before is not None and after is not None
        found.append(
            Comparison(
                suite=suite,
                metric=metric,
                base=before,
                best=after,
                difference=None if before is None or after is None else after - before,
                interval=_interval(metric, base[1], best[1], references) if is_known else None,
            )
        )
    return tuple(found)


def _interval(
    metric: MetricName,
    base: Sequence[RowResult],
    best: Sequence[RowResult],
    references: Mapping[str, str],
) -> Interval | None:
    """A paired bootstrap: both models are scored on the same resampled rows.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    if metric == "bleu":
        return None
    if metric == "perplexity":
        before = np.array([(r.nll_sum, r.num_targets) for r in base])
        after = np.array([(r.nll_sum, r.num_targets) for r in best])
    else:
        before = _row_values(metric, base, references)
        after = _row_values(metric, best, references)
    if len(before) < FEWEST_ROWS:
        return None
    sums = _resampled(np.hstack([before, after]))
    differences = _mean(sums[:, 2:], metric) - _mean(sums[:, :2], metric)
    low, high = np.quantile(differences, (0.025, 0.975))
    if finite(low) is None or finite(high) is None:
        return None
    return Interval(low=float(low), high=float(high))


def _resampled(rows: Numbers) -> Numbers:
    """Sums over rows drawn with replacement, a line per resample; one at a time for memory."""
    generator = np.random.default_rng(0)
    chances = np.full(len(rows), 1 / len(rows))
    return np.stack([generator.multinomial(len(rows), chances) @ rows for _ in range(RESAMPLES)])


def _row_values(
    metric: MetricName, results: Sequence[RowResult], references: Mapping[str, str]
) -> Numbers:
    """(score, 1) per answered row, so that a resample's sums divide to its mean."""
    scores = [row_scores([metric], r, references[r.id])[metric] for r in results]
    return np.array([(score, 1.0) for score in scores if score is not None])


def _mean(sums: Numbers, metric: MetricName) -> Numbers:
    ratio: Numbers = sums[:, 0] / sums[:, 1]
    return np.exp(np.minimum(ratio, LARGEST_NATS)) if metric == "perplexity" else ratio
