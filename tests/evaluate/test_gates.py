import math

import pytest
from pydantic import ValidationError

from loray.evaluate.gates import exact, judge
from loray.evaluate.scorecard import GateResult, SuiteScore
from loray.spec.evaluate import GateSpec
from tests.evaluate.cards import suite_score


def one(
    gate: GateSpec, *, base: dict[str, float | None], best: dict[str, float | None]
) -> GateResult:
    suite = {gate.suite: suite_score(**base)}
    (found,) = judge([gate], base=suite, best={gate.suite: suite_score(**best)})
    return found


def ratio(**bound: float) -> GateSpec:
    return GateSpec(metric="perplexity", measure="ratio_to_base", **bound)


def test_a_value_within_its_bound_passes_and_says_so() -> None:
    found = one(ratio(at_most=0.6), base={"perplexity": 500.0}, best={"perplexity": 125.0})
    assert found.passed
    assert found.value == 0.25
    assert found.words == (
        "Perplexity on the test rows is 125, 0.25 of the base's 500; "
        "wanted at most 0.6 of the base's: passed."
    )


def test_a_value_beyond_its_bound_is_refused_and_says_so() -> None:
    gate = GateSpec(metric="rougeL", measure="gain_over_base", at_least=0.05)
    found = one(gate, base={"rougeL": 0.30}, best={"rougeL": 0.31})
    assert not found.passed
    assert found.value == pytest.approx(0.01)
    assert found.words == (
        "ROUGE-L on the test rows is 0.310, +0.01 against the base's 0.300; "
        "wanted at least +0.05 against the base: refused."
    )


def test_a_value_exactly_on_the_bound_passes_both_ways() -> None:
    for bound in ({"at_least": 0.5}, {"at_most": 0.5}):
        found = one(ratio(**bound), base={"perplexity": 8.0}, best={"perplexity": 4.0})
        assert found.passed


def test_the_next_float_beyond_the_bound_is_refused_and_its_words_show_the_side() -> None:
    gate = GateSpec(metric="rougeL", at_least=0.5)
    found = one(gate, base={}, best={"rougeL": math.nextafter(0.5, 0.0)})
    assert not found.passed
    assert "is 0.4999999999999999; wanted at least 0.5: refused" in found.words


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("measure", ["value", "gain_over_base", "ratio_to_base"])
@pytest.mark.parametrize("bound", [{"at_least": -1e9}, {"at_most": 1e9}])
def test_a_value_that_cannot_be_told_never_passes(
    bad: float | None, measure: str, bound: dict[str, float]
) -> None:
    gate = GateSpec(metric="perplexity", measure=measure, **bound)
    score = SuiteScore.model_construct(metrics={"perplexity": bad})
    sound = {"test": suite_score(perplexity=3.0)}
    (found,) = judge([gate], base=sound, best={"test": score})
    assert not found.passed
    assert found.value is None
    assert "it has no finite value there" in found.words
    if measure != "value":
        (found,) = judge([gate], base={"test": score}, best=sound)
        assert not found.passed
        assert "the base has no finite value there" in found.words


def test_a_missing_suite_or_metric_never_passes() -> None:
    gate = GateSpec(metric="perplexity", suite="general", at_most=1e9)
    (found,) = judge([gate], base={}, best={})
    assert not found.passed
    assert not one(GateSpec(metric="bleu", at_least=0.0), base={}, best={}).passed


def test_a_ratio_to_a_base_of_zero_never_passes() -> None:
    gate = GateSpec(metric="exact_match", measure="ratio_to_base", at_least=1.0)
    found = one(gate, base={"exact_match": 0.0}, best={"exact_match": 0.9})
    assert not found.passed
    assert "base's value is 0" in found.words


def test_no_gates_give_no_results() -> None:
    assert judge([], base={}, best={}) == ()


def test_results_come_in_the_order_of_the_gates() -> None:
    gates = [GateSpec(metric="bleu", at_least=0.1), ratio(at_most=2.0)]
    scores = {"test": suite_score(perplexity=3.0, bleu=0.0)}
    found = judge(gates, base=scores, best=scores)
    assert [(g.metric, g.passed) for g in found] == [("bleu", False), ("perplexity", True)]


def test_a_gate_without_a_bound_or_with_two_is_no_gate() -> None:
    for bounds in ({}, {"at_least": 0.0, "at_most": 1.0}):
        with pytest.raises(ValidationError, match="exactly one"):
            GateSpec(metric="bleu", **bounds)


@pytest.mark.parametrize(
    ("value", "bound", "text"), [(0.25, 0.6, "0.25"), (0.59996, 0.6, "0.59996"), (0.6, 0.6, "0.6")]
)
def test_exact_shows_enough_digits_to_tell_the_side(value: float, bound: float, text: str) -> None:
    assert exact(value, bound) == text
