"""Metrics behind one interface, `evaluate.Metric`, computed offline.

`evaluate.load` would fetch scripts from the hub; these classes bring their code with them.
Text metrics lie in [0, 1]; perplexity is at least 1. A metric that has nothing to look at, or whose
value is not finite, is None: never zero, never a number that a gate could mistake for a score.
"""

import math
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import evaluate
from datasets import Features, Value  # type: ignore[import-untyped]
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics.bleu import BLEU

from loray.evaluate.rows import RowResult
from loray.spec.evaluate import GENERATED, MetricName

TEXTS = Features({"predictions": Value("string"), "references": Value("string")})
LIKELIHOODS = Features({"predictions": Value("float64"), "references": Value("int64")})

# One token per ideograph, kana or hangul syllable; elsewhere a run of letters and digits, which on
# ASCII is exactly rouge-score's own tokenizer. That one drops every letter outside a-z.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
    r"|(?:(?![\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff])[^\W_])+"
)


class UnicodeWords(Tokenizer):  # type: ignore[misc]
    """Words of any script, lower-cased."""

    def tokenize(self, text: str) -> list[str]:
        """The words of `text`, in order."""
        return _WORD.findall(text.lower())


def rouge1(prediction: str, reference: str) -> float:
    """F1 of shared words. Source: Lin 2004, ROUGE, sec. 2."""
    return _rouge(prediction, reference)[0]


def rouge_l(prediction: str, reference: str) -> float:
    """F1 of the longest common subsequence of words. Source: Lin 2004, ROUGE, sec. 3.1."""
    return _rouge(prediction, reference)[1]


def sentence_bleu(prediction: str, reference: str) -> float:
    """BLEU of one answer, smoothed; for looking at rows, never averaged into a suite's BLEU."""
    return _share(_bleu().sentence_score(prediction, [reference]).score)


def exact_match(prediction: str, reference: str) -> float:
    """1 when both texts are equal but for the amount of white space, else 0."""
    return float(prediction.split() == reference.split())


def perplexity(nll_sum: float, num_targets: int) -> float:
    """exp(nats per target token); infinite where that overflows, NaN where there is no token."""
    if num_targets == 0:
        return math.nan
    nats = nll_sum / num_targets
    return math.exp(nats) if nats < 700.0 else nats * math.inf


def _share(percent: float) -> float:
    """A percentage as a share; sacreBLEU's logarithms can end a hair above 100."""
    return min(float(percent) / 100.0, 1.0)


@lru_cache(maxsize=1 << 16)
def _rouge(prediction: str, reference: str) -> tuple[float, float]:
    """ROUGE-1 and ROUGE-L, remembered: on long texts they take time, and both are asked for."""
    scores = _rouge_scorer().score(reference, prediction)
    return float(scores["rouge1"].fmeasure), float(scores["rougeL"].fmeasure)


@cache
def _rouge_scorer() -> RougeScorer:
    return RougeScorer(["rouge1", "rougeL"], tokenizer=UnicodeWords())


@cache
def _bleu() -> BLEU:
    """BLEU with sacreBLEU's defaults, but without n-gram orders that no answer is long enough for.

    With them, a suite of answers shorter than four words would score 0 even
    where every answer is right.
    """
    bleu = BLEU(tokenize="13a", smooth_method="exp", effective_order=True)
    bleu.corpus_score(["a"], [["a"]])  # it can name its settings only once it has scored
    return bleu


ROW_METRICS: Mapping[MetricName, Callable[[str, str], float]] = {
    "rouge1": rouge1,
    "rougeL": rouge_l,
    "bleu": sentence_bleu,
    "exact_match": exact_match,
}


class MeanOverRows(evaluate.Metric):  # type: ignore[misc]
    """The mean over rows of `ROW_METRICS[config_name]`."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("mean over rows of a score of (prediction, reference)", TEXTS)

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        score = ROW_METRICS[self.config_name]
        values = [score(p, r) for p, r in zip(predictions, references, strict=True)]
        return {self.config_name: math.fsum(values) / len(values)}


class CorpusBleu(evaluate.Metric):  # type: ignore[misc]
    """BLEU of the whole suite. Source: Papineni 2002; computed by sacreBLEU, arXiv:1804.08771."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("corpus BLEU, sacreBLEU's score / 100", TEXTS)

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        return {"bleu": _share(_bleu().corpus_score(predictions, [references]).score)}


class Perplexity(evaluate.Metric):  # type: ignore[misc]
    """exp(sum of nats / sum of target tokens): every token of the suite weighs the same."""

    def _info(self) -> evaluate.MetricInfo:
        return _info(
            "predictions: nats per reference; references: target tokens in it", LIKELIHOODS
        )

    def _compute(self, predictions: list[float], references: list[int]) -> dict[str, float]:
        return {"perplexity": perplexity(math.fsum(predictions), sum(references))}


def _info(description: str, features: Features) -> evaluate.MetricInfo:
    return evaluate.MetricInfo(
        description=description, citation="", inputs_description="", features=features
    )


def load_metric(name: MetricName, *, cache_dir: str | None = None) -> evaluate.Metric:
    """The metric as the `evaluate` library knows it: `.compute(predictions=, references=)`."""
    kinds = {"perplexity": Perplexity, "bleu": CorpusBleu}
    return kinds.get(name, MeanOverRows)(
        config_name=name,
        keep_in_memory=True,
        cache_dir=cache_dir,
        seed=0,  # no metric draws numbers; without a seed, evaluate reads numpy's global state
    )


def measure(
    names: Iterable[MetricName], results: Sequence[RowResult], references: Mapping[str, str]
) -> dict[MetricName, float | None]:
    """Each metric over one candidate's results on one suite; None where it cannot be told.

    Args:
        references: the reference of each row, by its id.
    """
    return {name: _measure_one(name, results, references) for name in names}


def _measure_one(
    name: MetricName, results: Sequence[RowResult], references: Mapping[str, str]
) -> float | None:
    inputs: dict[str, Any]
    if name in GENERATED:
        answered = [(r.answer, references[r.id]) for r in results if r.answer is not None]
        inputs = {"predictions": [p for p, _ in answered], "references": [r for _, r in answered]}
    else:
        inputs = {
            "predictions": [r.nll_sum for r in results],
            "references": [r.num_targets for r in results],
        }
    if not inputs["predictions"]:
        return None
    with tempfile.TemporaryDirectory() as scratch:  # evaluate makes an empty folder even in memory
        return finite(load_metric(name, cache_dir=scratch).compute(**inputs)[name])


def row_scores(
    names: Iterable[MetricName], result: RowResult, reference: str
) -> dict[MetricName, float | None]:
    """Each metric of one row alone; None where it cannot be told."""
    scores: dict[MetricName, float | None] = {}
    for name in names:
        if name not in GENERATED:
            scores[name] = finite(perplexity(result.nll_sum, result.num_targets))
        elif result.answer is not None:
            scores[name] = ROW_METRICS[name](result.answer, reference)
        else:
            scores[name] = None
    return scores


def finite(value: float) -> float | None:
    """`value`, or None when it is NaN or infinite."""
    return value if math.isfinite(value) else None


def describe_settings() -> dict[str, str]:
    """How each metric is computed, in one line, for the scorecard."""
    return {
        "perplexity": "exp(sum of nats / sum of target tokens) over the whole suite",
        "rouge1": "mean F1 of shared words (rouge-score, lower-cased words of any script)",
        "rougeL": "mean F1 of the longest common subsequence of words (rouge-score)",
        "bleu": f"corpus BLEU / 100 (sacreBLEU {_bleu().get_signature()})",
        "exact_match": "share of answers equal to the reference but for white space",
    }
