"""The `evaluate` and `gates` blocks."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from loray.spec.base import Count, Finding, RuleError, StrictModel

MetricName = Literal["perplexity", "rouge1", "rougeL", "bleu", "exact_match"]
GENERATED: tuple[MetricName, ...] = ("rouge1", "rougeL", "bleu", "exact_match")
LOWER_IS_BETTER: tuple[MetricName, ...] = ("perplexity",)


class EvalSpec(StrictModel):
    """How checkpoints are scored against held-out rows."""

    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)] = (
        "perplexity",
        "rougeL",
        "bleu",
        "exact_match",
    )
    """What is computed for every checkpoint and for the base."""
    select_by: MetricName = "perplexity"
    """The metric that picks the best checkpoint, on the validation split."""
    max_rows: Count = 200
    """Rows scored of each split; the first by row id when there are more."""
    max_new_tokens: Annotated[int, Field(ge=1, le=8192)] = 64
    """Longest answer that is generated for a row."""
    include_reasoning: bool = False
    """Compare think blocks too. When not, they are left out of answers and of references; the
    perplexity counts them either way."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rows an actor decodes at once; changes speed, not results."""

    @model_validator(mode="after")
    def _the_selecting_metric_is_computed(self) -> Self:
        if self.select_by not in self.metrics:
            raise RuleError(
                Finding(
                    "select_by",
                    f"found {self.select_by!r}, which metrics {list(self.metrics)} do not "
                    "include; add it to metrics or select by one of them",
                    reads=("metrics",),
                )
            )
        return self


class GateSpec(StrictModel):
    """One threshold that an adapter must clear before it may be promoted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"metric": "perplexity", "measure": "ratio_to_base", "at_most": 0.6}]
        }
    )

    metric: MetricName
    """Which metric is looked at; `evaluate.metrics` must hold it."""
    suite: Literal["test", "general"] = "test"
    """`test`: held-out rows of the task; `general`: held-out replay rows (forgetting)."""
    measure: Literal["value", "gain_over_base", "ratio_to_base"] = "value"
    """What is compared: the metric, the metric minus the base's, or the metric over the base's."""
    at_least: float | None = None
    """The measure must reach this."""
    at_most: float | None = None
    """The measure must not go beyond this."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            found = "neither" if self.at_least is None else "both"
            raise ValueError(f"found {found} of at_least and at_most; wanted one; give exactly one")
        return self
