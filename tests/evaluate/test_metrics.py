import math
import socket
import subprocess
import sys

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from loray.evaluate.metrics import (
    ROW_METRICS,
    UnicodeWords,
    describe_settings,
    exact_match,
    load_metric,
    measure,
    perplexity,
    rouge1,
    rouge_l,
    row_scores,
)
from loray.evaluate.rows import RowResult
from loray.spec.evaluate import EvalSpec, MetricName

PAIRS = [
    ("the cat sat on the mat", "the cat is on the mat"),
    ("return a list of names", "Return the list of all group names."),
    ("", "something"),
    ("get_name(x) -> str", "get_name"),
    ("completely different words here", "nothing alike at all"),
]
PREDICTIONS, REFERENCES = [list(texts) for texts in zip(*PAIRS, strict=True)]


def results(*answers: str | None) -> tuple[list[RowResult], dict[str, str]]:
    rows = [
        RowResult(id=str(i), nll_sum=2.0, num_targets=1, answer=a) for i, a in enumerate(answers)
    ]
    return rows, {row.id: REFERENCES[i % len(REFERENCES)] for i, row in enumerate(rows)}


def test_rouge_by_hand() -> None:
    # "the cat sat" against "the cat lay down": 2 words shared, in order; P = 2/3, R = 2/4.
    wanted = 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)
    assert rouge1("the cat sat", "the cat lay down") == pytest.approx(wanted)
    assert rouge_l("the cat sat", "the cat lay down") == pytest.approx(wanted)
    # "sat cat the": the same words, but only one of them in order.
    assert rouge1("sat cat the", "the cat lay down") == pytest.approx(wanted)
    assert rouge_l("sat cat the", "the cat lay down") == pytest.approx(
        2 * (1 / 3) * (1 / 4) / (7 / 12)
    )


def test_rouge_equals_the_library_on_ascii() -> None:
    scorer = RougeScorer(["rouge1", "rougeL"])
    for prediction, reference in PAIRS:
        theirs = scorer.score(reference, prediction)
        assert rouge1(prediction, reference) == theirs["rouge1"].fmeasure
        assert rouge_l(prediction, reference) == theirs["rougeL"].fmeasure


def test_rouge_sees_words_outside_ascii() -> None:
    assert UnicodeWords().tokenize("Stra\u00dfe, na\u00efve_caf\u00e9!") == [
        "stra\u00dfe",
        "na\u00efve",
        "caf\u00e9",
    ]
    assert UnicodeWords().tokenize("\u6f22\u5b57abc") == ["\u6f22", "\u5b57", "abc"]
    assert (
        rouge_l(
            "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
            "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
        )
        == 1.0
    )


def test_bleu_equals_the_library_where_answers_have_four_words() -> None:
    ours = load_metric("bleu").compute(predictions=PREDICTIONS, references=REFERENCES)["bleu"]
    theirs = BLEU().corpus_score(PREDICTIONS, [REFERENCES]).score / 100
    assert 0 < ours == theirs < 1


def test_bleu_of_right_answers_of_one_word_is_one() -> None:
    texts = ["getgrgid", "open", "walk"]
    assert load_metric("bleu").compute(predictions=texts, references=texts)["bleu"] == 1.0
    assert BLEU().corpus_score(texts, [texts]).score == 0.0, "what the default would say"


def test_exact_match_forgives_white_space_and_nothing_else() -> None:
    assert exact_match(" get name\n", "get  name") == 1.0
    assert exact_match("Get name", "get name") == 0.0
    assert exact_match("get name.", "get name") == 0.0
    assert exact_match("", "") == 1.0
    compute = load_metric("exact_match").compute
    assert compute(predictions=["a", "b", "c"], references=["a", "x", "c"]) == {
        "exact_match": pytest.approx(2 / 3)
    }


def test_perplexity_weighs_tokens_not_rows() -> None:
    rows = [RowResult("a", nll_sum=1.0, num_targets=1), RowResult("b", nll_sum=9.0, num_targets=99)]
    found = measure(["perplexity"], rows, {})["perplexity"]
    assert found == pytest.approx(math.exp(10.0 / 100))
    assert found != pytest.approx((math.exp(1.0) + math.exp(9 / 99)) / 2, rel=0.1)


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices() -> None:
    rows = [RowResult(str(n), nll_sum=n * math.log(64), num_targets=n) for n in range(1, 9)]
    assert measure(["perplexity"], rows, {})["perplexity"] == pytest.approx(64.0)


@pytest.mark.parametrize(
    ("nll_sum", "num_targets"), [(math.nan, 3), (math.inf, 3), (1e6, 1), (0.0, 0)]
)
def test_a_perplexity_that_is_no_finite_number_is_unknown(nll_sum: float, num_targets: int) -> None:
    assert not math.isfinite(perplexity(nll_sum, num_targets))
    row = RowResult("a", nll_sum=nll_sum, num_targets=num_targets)
    assert measure(["perplexity"], [row], {}) == {"perplexity": None}
    assert row_scores(["perplexity"], row, "x") == {"perplexity": None}


def test_one_bad_row_makes_the_whole_suite_unknown() -> None:
    rows = [RowResult("a", 1.0, 1), RowResult("b", math.nan, 1)]
    assert measure(["perplexity"], rows, {}) == {"perplexity": None}


def test_text_metrics_without_answers_are_unknown_not_zero() -> None:
    rows, references = results(None, None)
    assert measure(["rougeL", "bleu", "exact_match"], rows, references) == {
        "rougeL": None,
        "bleu": None,
        "exact_match": None,
    }


def test_every_metric_of_the_spec_can_be_measured() -> None:
    rows, references = results(*PREDICTIONS)
    names: tuple[MetricName, ...] = ("perplexity", "rouge1", "rougeL", "bleu", "exact_match")
    assert EvalSpec(metrics=names).metrics == names
    found = measure(names, rows, references)
    assert all(value is not None for value in found.values())
    assert found["perplexity"] == pytest.approx(math.exp(2.0))
    assert found["rougeL"] == pytest.approx(sum(rouge_l(p, r) for p, r in PAIRS) / len(PAIRS))
    assert set(row_scores(names, rows[0], REFERENCES[0])) == set(names) == set(describe_settings())


def test_the_order_of_rows_does_not_change_a_metric() -> None:
    rows, references = results(*(PREDICTIONS * 3))
    names: tuple[MetricName, ...] = ("perplexity", *ROW_METRICS)
    assert measure(names, rows, references) == measure(names, rows[::-1], references)


def test_metrics_work_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    rows, references = results(*PREDICTIONS)
    assert measure(["rougeL", "bleu"], rows, references)["bleu"] is not None


@pytest.mark.slow
def test_settings_are_told_where_no_bleu_was_computed():
    script = "from loray.evaluate.metrics import describe_settings; print(describe_settings())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "nrefs:1" in done.stdout
