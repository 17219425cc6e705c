"""Names as a newcomer reads them, and which way is better."""

from loray.spec.evaluate import LOWER_IS_BETTER, MetricName

TITLES: dict[MetricName, str] = {
    "perplexity": "perplexity",
    "rouge1": "ROUGE-1",
    "rougeL": "ROUGE-L",
    "bleu": "BLEU",
    "exact_match": "exact match",
}
MEANINGS: dict[MetricName, str] = {
    "perplexity": "how surprised the model is by the true answer; 1 is certainty, lower is better",
    "rouge1": "share of words in common with the true answer, 0 to 1",
    "rougeL": "longest run of words in the true answer's order, 0 to 1",
    "bleu": "short phrases in common with the true answer, 0 to 1",
    "exact_match": "share of answers that are the true answer, word for word",
}
SUITE_TITLES = {
    "validation": "the validation rows",
    "test": "the test rows",
    "general": "the general rows",
}


def lower_is_better(name: MetricName) -> bool:
    """Whether a smaller value of the metric is the better one."""
    return name in LOWER_IS_BETTER


def is_better(name: MetricName, value: float, *, than: float) -> bool:
    """Whether `value` beats `than`; equal does not."""
    return value < than if lower_is_better(name) else value > than
