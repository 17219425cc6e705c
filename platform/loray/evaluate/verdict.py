"""The result in words, for a reader who knows none of the metrics."""

from collections.abc import Iterable, Sequence

from loray.evaluate.scorecard import Comparison, GateResult
from loray.evaluate.words import TITLES
from loray.pages.figures import number
from loray.spec.evaluate import MetricName

HEADLINE_METRICS: tuple[MetricName, ...] = ("perplexity", "rougeL", "rouge1", "exact_match", "bleu")
"""Which metrics the verdict names, most telling first; it names two."""


def verdict(
    *,
    trained: str,
    step: int,
    gates: Sequence[GateResult],
    comparisons: Sequence[Comparison],
    test_rows: int,
    is_sound: bool,
) -> str:
    """Two to four sentences: cleared or not, better or not on the task, what was forgotten."""
    subject = f"the {trained} of step {step}"
    sentences = (
        _gates(gates, is_sound=is_sound),
        _task(comparisons, subject, test_rows),
        _forgetting(comparisons),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _gates(gates: Sequence[GateResult], *, is_sound: bool) -> str:
    failed = [gate for gate in gates if not gate.passed]
    if failed:
        names = ", ".join(f"{TITLES[gate.metric]} on {gate.suite}" for gate in failed)
        return f"Refused: {len(failed)} of {_count(len(gates), 'gate')} not cleared ({names})."
    if not is_sound:
        return "Refused: its likelihoods on held-out rows are not finite numbers."
    if not gates:
        return "Passed, but no gate is declared, so nothing was required of it."
    return f"Passed: {'all ' if len(gates) > 1 else ''}{_count(len(gates), 'gate')} cleared."


def _task(comparisons: Sequence[Comparison], subject: str, test_rows: int) -> str:
    if test_rows == 0:
        return f"No row was held out for testing, so {subject} was not judged."
    known = {c.metric: c for c in comparisons if c.suite == "test" and c.difference is not None}
    chosen = [known[name] for name in HEADLINE_METRICS if name in known][:2]
    if not chosen:
        return f"No metric could be measured on the {_count(test_rows, 'test row')}."
    parts = [
        f"{TITLES[c.metric]} {number(c.best)} against the base's {number(c.base)} ({_quality(c)})"
        for c in chosen
    ]
    rows = _count(test_rows, "held-out row")
    return f"On {rows} {subject} reaches {' and '.join(parts)}."


def _quality(comparison: Comparison) -> str:
    quality = comparison.quality
    return "which could be chance" if quality == "chance" else quality


def _forgetting(comparisons: Iterable[Comparison]) -> str:
    for comparison in comparisons:
        if comparison.suite == "general" and comparison.metric == "perplexity":
            return _change_on_general(comparison)
    return ""


def _change_on_general(comparison: Comparison) -> str:
    if comparison.pair is None or comparison.base == 0:
        return "What it forgot of general text could not be measured."
    before, after = comparison.pair
    change = 100.0 * (after / before - 1.0)
    if abs(change) < 0.05:
        return "On general text its perplexity equals the base's: nothing was forgotten."
    if change < 0:
        return f"On general text its perplexity is {-change:.1f}% lower: nothing was forgotten."
    return (
        f"On general text its perplexity is {change:.1f}% higher than the base's: "
        "that is what it forgot."
    )


def _count(number_of: int, noun: str) -> str:
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
