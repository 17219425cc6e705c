"""Gates: declared thresholds that an adapter must clear, each answered in words.

A value that cannot be told (no rows, NaN, infinite, a base of 0 to divide by) never clears a gate.
"""

import math
from collections.abc import Mapping, Sequence
from typing import assert_never

from loray.evaluate.scorecard import GateResult, SuiteScore
from loray.evaluate.words import SUITE_TITLES, TITLES
from loray.pages.figures import number
from loray.spec.evaluate import GateSpec, MetricName

Scores = Mapping[str, SuiteScore]
"""Scores of one candidate, by suite."""


def judge(gates: Sequence[GateSpec], *, base: Scores, best: Scores) -> tuple[GateResult, ...]:
    """The result of each gate, in the order in which they are declared."""
    return tuple(_judge_one(gate, base=base, best=best) for gate in gates)


def _judge_one(gate: GateSpec, *, base: Scores, best: Scores) -> GateResult:
    base_value = _metric(base, gate.suite, gate.metric)
    best_value = _metric(best, gate.suite, gate.metric)
    value = measured(gate, base_value=base_value, best_value=best_value)
    passed = value is not None and _clears(gate, value)
    return GateResult(
        metric=gate.metric,
        suite=gate.suite,
        measure=gate.measure,
        at_least=gate.at_least,
        at_most=gate.at_most,
        base_value=base_value,
        best_value=best_value,
        value=value,
        passed=passed,
        words=_in_words(gate, base_value, best_value, value),
    )


def _metric(scores: Scores, suite: str, metric: MetricName) -> float | None:
    value = scores[suite].metrics.get(metric) if suite in scores else None
    return value if value is not None and math.isfinite(value) else None


def measured(gate: GateSpec, *, base_value: float | None, best_value: float | None) -> float | None:
    """The number that the gate compares with its bound; None when it cannot be told."""
    if best_value is None:
        return None
    match gate.measure:
        case "value":
            return best_value
        case "gain_over_base":
            return None if base_value is None else best_value - base_value
        case "ratio_to_base":
            return None if base_value is None or base_value == 0 else best_value / base_value
        case _:
            assert_never(gate.measure)


def _clears(gate: GateSpec, value: float) -> bool:
    """A value exactly on the bound clears it."""
    return value >= _bound(gate) if gate.at_least is not None else value <= _bound(gate)


def _bound(gate: GateSpec) -> float:
    """The one bound that the spec guarantees."""
    return next(bound for bound in (gate.at_least, gate.at_most) if bound is not None)


def _in_words(
    gate: GateSpec, base_value: float | None, best_value: float | None, value: float | None
) -> str:
    name = TITLES[gate.metric]
    subject = f"{name[0].upper()}{name[1:]} on {SUITE_TITLES[gate.suite]}"
    if value is None:
        reason = _why(base_value, best_value)
        return f"{subject} could not be measured: {reason}; wanted {_wanted(gate)}: refused."
    found = f"{subject} is {_found(gate, base_value, best_value, value)}"
    return f"{found}; wanted {_wanted(gate)}: {'passed' if _clears(gate, value) else 'refused'}."


def _wanted(gate: GateSpec) -> str:
    bound = _bound(gate)
    direction = "at least" if gate.at_least is not None else "at most"
    match gate.measure:
        case "value":
            return f"{direction} {bound:g}"
        case "gain_over_base":
            return f"{direction} {bound:+g} against the base"
        case "ratio_to_base":
            return f"{direction} {bound:g} of the base's"
        case _:
            assert_never(gate.measure)


def _found(gate: GateSpec, base_value: float | None, best_value: float | None, value: float) -> str:
    best, base, bound = number(best_value), number(base_value), _bound(gate)
    match gate.measure:
        case "value":
            return exact(value, bound)
        case "gain_over_base":
            return f"{best}, {exact(value, bound, sign='+')} against the base's {base}"
        case "ratio_to_base":
            return f"{best}, {exact(value, bound)} of the base's {base}"
        case _:
            assert_never(gate.measure)


def exact(value: float, bound: float, *, sign: str = "") -> str:
    """`value` with as many digits as it takes to be seen on its own side of `bound`."""
    side = (value > bound) - (value < bound)
    for digits in range(3, 18):
        text = f"{value:{sign}.{digits}g}"
        if (float(text) > bound) - (float(text) < bound) == side:
            return text
    return f"{value:{sign}}"


def _why(base_value: float | None, best_value: float | None) -> str:
    if best_value is None:
        return "it has no finite value there"
    if base_value is None:
        return "the base has no finite value there"
    return "the base's value is 0, so there is no ratio to it"
