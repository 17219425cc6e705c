import math

import pytest

from loray.errors import EvaluationError
from loray.evaluate.assemble import build_scorecard, choose_checkpoint
from loray.evaluate.report import render_report
from loray.evaluate.rows import BASE, Row, RowResult
from loray.spec.evaluate import EvalSpec, GateSpec
from loray.spec.train import FullMethod
from tests.evaluate.evaluations import checkpoint, evaluation, make_rows, results_of, run_spec


def test_the_checkpoint_with_the_lowest_validation_perplexity_is_chosen() -> None:
    assert choose_checkpoint(evaluation(run_spec())).step == 20


def test_a_higher_is_better_metric_chooses_the_highest() -> None:
    spec = run_spec(evaluate=EvalSpec(select_by="exact_match"))
    found = evaluation(spec)
    rows = found.suites["validation"]
    for step, answers in ((10, "wrong"), (20, "wrong"), (30, "right")):
        found.results[f"step-{step:06d}", "validation"] = results_of(
            rows, nats=9.0, answers=answers
        )
    assert choose_checkpoint(found).step == 30


def test_of_equals_the_earliest_is_chosen() -> None:
    found = evaluation(run_spec())
    rows = found.suites["validation"]
    for step in (10, 20, 30):
        found.results[f"step-{step:06d}", "validation"] = results_of(rows, nats=1.0)
    assert choose_checkpoint(found).step == 10


def test_a_diverged_checkpoint_is_never_chosen() -> None:
    found = evaluation(run_spec())
    rows = found.suites["validation"]
    found.results["step-000020", "validation"] = results_of(rows, nats=math.nan)
    assert choose_checkpoint(found).step == 30


def test_when_every_checkpoint_diverged_the_evaluation_says_what_to_do() -> None:
    found = evaluation(run_spec())
    rows = found.suites["validation"]
    for step in (10, 20, 30):
        found.results[f"step-{step:06d}", "validation"] = results_of(rows, nats=math.inf)
    with pytest.raises(EvaluationError, match=r"diverged.*learning_rate"):
        choose_checkpoint(found)


def test_without_validation_rows_the_last_checkpoint_is_taken_and_that_is_said() -> None:
    found = evaluation(run_spec())
    found.suites["validation"] = ()
    for name in (BASE, "step-000010", "step-000020", "step-000030"):
        del found.results[name, "validation"]
    assert choose_checkpoint(found).step == 30
    card = build_scorecard(found, found.checkpoints[1], digest="0" * 64)
    assert any("without a choice" in note for note in card.notes)
    assert all(checkpoint.validation is None for checkpoint in card.checkpoints)


def test_a_scorecard_says_what_was_found() -> None:
    gate = GateSpec(metric="perplexity", measure="ratio_to_base", at_most=0.6)
    spec = run_spec(gates=(gate,), replay=True)
    card = build_scorecard(evaluation(spec), checkpoint(20), digest="0" * 64)
    assert card.passed
    assert card.best_checkpoint == "checkpoints/step-000020"
    assert card.base["test"].metrics["perplexity"] == pytest.approx(math.exp(5))
    assert card.best["test"].metrics == {
        "perplexity": pytest.approx(math.exp(1)),
        "rougeL": 1.0,
        "bleu": 1.0,
        "exact_match": 1.0,
    }
    assert list(card.best["general"].metrics) == ["perplexity"]
    assert card.best["test"].mean_entropy == 0.5
    assert card.verdict.startswith("Passed: 1 gate cleared. On 30 held-out rows the adapter of ")
    assert "10.5% higher than the base's: that is what it forgot" in card.verdict


def test_a_refused_scorecard_names_the_gate() -> None:
    gates = (
        GateSpec(metric="perplexity", measure="ratio_to_base", at_most=0.6),
        GateSpec(metric="perplexity", suite="general", measure="ratio_to_base", at_most=1.05),
    )
    spec = run_spec(gates=gates, replay=True)
    card = build_scorecard(evaluation(spec), checkpoint(20), digest="0" * 64)
    assert [gate.passed for gate in card.gates] == [True, False]
    assert not card.passed
    assert card.verdict.startswith("Refused: 1 of 2 gates not cleared (perplexity on general).")


def test_no_gates_pass_with_a_remark() -> None:
    card = build_scorecard(evaluation(run_spec()), checkpoint(20), digest="0" * 64)
    assert card.passed
    assert "no gate is declared, so nothing was required of it" in card.verdict


def test_an_adapter_without_finite_likelihoods_is_refused_even_without_gates() -> None:
    found = evaluation(run_spec())
    rows = found.suites["test"]
    found.results["step-000020", "test"] = results_of(rows, nats=math.nan, answers="right")
    card = build_scorecard(found, checkpoint(20), digest="0" * 64)
    assert not card.passed
    assert "not finite" in card.verdict


def test_a_gate_on_a_general_text_metric_measures_it_there() -> None:
    gate = GateSpec(metric="rougeL", suite="general", at_least=0.5)
    found = evaluation(run_spec(gates=(gate,), replay=True))
    rows = found.suites["general"]
    found.results[BASE, "general"] = results_of(rows, nats=3.0, answers="right")
    found.results["step-000020", "general"] = results_of(rows, nats=3.0, answers="right")
    card = build_scorecard(found, checkpoint(20), digest="0" * 64)
    assert card.best["general"].metrics["rougeL"] == 1.0
    assert card.passed


def test_without_test_rows_nothing_is_claimed() -> None:
    gate = GateSpec(metric="rougeL", at_least=0.0)
    found = evaluation(run_spec(gates=(gate,)))
    found.suites["test"] = ()
    del found.results[BASE, "test"], found.results["step-000020", "test"]
    card = build_scorecard(found, checkpoint(20), digest="0" * 64)
    assert not card.passed
    assert "was not judged" in card.verdict
    assert card.samples == ()
    assert any("nothing was judged" in note for note in card.notes)


def test_raw_text_rows_count_for_perplexity_only_and_that_is_said() -> None:
    found = evaluation(run_spec())
    rows = tuple(Row(row.id, (), row.reference) for row in found.suites["test"])
    found.suites["test"] = rows
    for name in (BASE, "step-000020"):
        found.results[name, "test"] = results_of(rows, nats=1.0)
    card = build_scorecard(found, checkpoint(20), digest="0" * 64)
    assert card.best["test"].metrics["rougeL"] is None
    assert any("30 of 30 test rows are raw text" in note for note in card.notes)


def test_answers_that_never_end_are_pointed_out() -> None:
    found = evaluation(run_spec())
    cut = tuple(
        RowResult(row.id, 5.0, 5, answer="and and and", is_cut=True) for row in found.suites["test"]
    )
    found.results["step-000020", "test"] = cut
    card = build_scorecard(found, checkpoint(20), digest="0" * 64)
    assert any("30 of 30 of its answers were cut at 64 tokens" in n for n in card.notes)


def test_the_same_results_give_the_same_scorecard() -> None:
    first = build_scorecard(evaluation(run_spec()), checkpoint(20), digest="0" * 64)
    second = build_scorecard(evaluation(run_spec()), checkpoint(20), digest="0" * 64)
    assert first.model_dump_json() == second.model_dump_json()


def test_an_interval_holds_the_difference_and_narrows_with_more_rows() -> None:
    widths = []
    for count in (20, 200):
        found = evaluation(run_spec())
        rows = make_rows(count)
        found.suites["test"] = rows
        base = [RowResult(r.id, 10.0 + i % 7, 5, answer="no") for i, r in enumerate(rows)]
        best = [
            RowResult(r.id, 4.0 + i % 5, 5, answer=r.reference if i % 3 else "no")
            for i, r in enumerate(rows)
        ]
        found.results[BASE, "test"], found.results["step-000020", "test"] = tuple(base), tuple(best)
        card = build_scorecard(found, checkpoint(20), digest="0" * 64)
        by_metric = {c.metric: c for c in card.comparisons if c.suite == "test"}
        assert by_metric["bleu"].interval is None
        for metric in ("perplexity", "rougeL", "exact_match"):
            interval = by_metric[metric].interval
            assert interval is not None
            assert interval.low <= by_metric[metric].difference <= interval.high
        widths.append(
            by_metric["exact_match"].interval.high - by_metric["exact_match"].interval.low
        )
    assert widths[1] < widths[0] / 2


def test_a_difference_that_is_noise_is_said_to_be() -> None:
    found = evaluation(run_spec())
    rows = found.suites["test"]
    base = tuple(RowResult(r.id, 5.0 + (i % 2), 5, answer="no") for i, r in enumerate(rows))
    best = tuple(RowResult(r.id, 4.99 + (i + 1) % 2, 5, answer="no") for i, r in enumerate(rows))
    found.results[BASE, "test"], found.results["step-000020", "test"] = base, best
    card = build_scorecard(found, checkpoint(20), digest="0" * 64)
    assert card.comparisons[0].quality == "chance"
    assert "could be chance" in card.verdict


def test_samples_are_the_best_the_worst_and_a_draw() -> None:
    found = evaluation(run_spec())
    rows = found.suites["test"]
    found.results["step-000020", "test"] = tuple(
        RowResult(row.id, 5.0, 5, answer=row.reference if i < 10 else "word" * (i % 2))
        for i, row in enumerate(rows)
    )
    samples = build_scorecard(found, checkpoint(20), digest="0" * 64).samples
    assert [sample.chosen for sample in samples] == ["best"] * 4 + ["worst"] * 4 + ["random"] * 4
    assert len({sample.id for sample in samples}) == 12
    assert all(sample.best_scores["rougeL"] == 1.0 for sample in samples[:4])
    assert all(sample.best_scores["rougeL"] == 0.0 for sample in samples[4:8])
    assert samples[0].base_answer == "no idea"
    assert samples[0].prompt[0].content == "Say the word number 0."


def test_few_rows_are_each_shown_once() -> None:
    found = evaluation(run_spec())
    rows = found.suites["test"][:3]
    found.suites["test"] = rows
    for name, answers in ((BASE, "wrong"), ("step-000020", "right")):
        found.results[name, "test"] = results_of(rows, nats=1.0, answers=answers)
    samples = build_scorecard(found, checkpoint(20), digest="0" * 64).samples
    assert sorted(sample.id for sample in samples) == sorted(row.id for row in rows)


def test_long_texts_are_cut_in_the_scorecard_and_the_cut_is_marked() -> None:
    found = evaluation(run_spec())
    rows = found.suites["test"]
    found.results["step-000020", "test"] = tuple(
        RowResult(row.id, 5.0, 5, answer="x" * 5000) for row in rows
    )
    answer = build_scorecard(found, checkpoint(20), digest="0" * 64).samples[0].best_answer
    assert answer is not None
    assert answer.endswith("x [... 1000 more characters]")


def test_a_whole_model_is_not_called_an_adapter() -> None:
    spec = run_spec(method=FullMethod(kind="full"))
    card = build_scorecard(evaluation(spec), checkpoint(20), digest="0" * 64)
    assert card.trained == "model"
    assert "the model of step 20 reaches" in card.verdict
    text = render_report(card, losses=[(1, 2.0)], vitals=[], counts=None)
    assert "adapter" not in text
