"""The scorecard: what an evaluation found, as one frozen document.

It holds no times and no machine's names: the same checkpoints and rows give the same bytes.
A metric that could not be told, or is not finite, is null.
"""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from loray.errors import ArtifactError
from loray.evaluate.words import is_better
from loray.spec.base import StrictModel
from loray.spec.evaluate import MetricName

Quality = Literal["better", "worse", "chance", "equal", "unknown"]
SCORECARD_NAME = "scorecard.json"
REPORT_NAME = "report.html"


class SuiteScore(StrictModel):
    """One candidate's scores on one suite."""

    rows: int
    """Rows scored."""
    answered: int
    """Rows answered by generation; 0 where no metric needed it."""
    target_tokens: int
    """Tokens of the references, the divisor of the perplexity."""
    metrics: dict[MetricName, float | None]
    answers_cut: int
    """Answers that ended only because they reached evaluate.max_new_tokens."""
    mean_entropy: float | None
    """Nats per answered token: how unsure the model is while it answers."""
    too_long: int = 0
    """Rows that exceed the model's context: their references were not scored, or their prompts
    left no room for an answer."""


class CheckpointScore(StrictModel):
    """One checkpoint on the validation split."""

    step: int
    validation: SuiteScore | None
    """None when nothing was held out for validation."""


class Interval(StrictModel):
    """How far a difference would move had other rows been drawn: paired bootstrap over rows."""

    low: float
    high: float
    """2.5% and 97.5% quantiles."""


class Comparison(StrictModel):
    """The best checkpoint against the base on one suite and metric."""

    suite: Literal["test", "general"]
    metric: MetricName
    base: float | None
    best: float | None
    difference: float | None
    """`best` minus `base`."""
    interval: Interval | None
    """Of the difference; None for BLEU, which is no mean over rows, and for too few rows."""

    @property
    def pair(self) -> tuple[float, float] | None:
        """The base's and the best checkpoint's value; None when either is unknown."""
        return None if self.base is None or self.best is None else (self.base, self.best)

    @property
    def quality(self) -> Quality:
        """What the difference means; `chance` when its interval holds 0."""
        if self.pair is None:
            return "unknown"
        before, after = self.pair
        if before == after:
            return "equal"
        if self.interval is not None and self.interval.low <= 0.0 <= self.interval.high:
            return "chance"
        return "better" if is_better(self.metric, after, than=before) else "worse"


class GateResult(StrictModel):
    """One gate of the spec and how it was answered."""

    metric: MetricName
    suite: Literal["test", "general"]
    measure: Literal["value", "gain_over_base", "ratio_to_base"]
    at_least: float | None
    at_most: float | None
    base_value: float | None
    best_value: float | None
    value: float | None
    """What was compared with the bound."""
    passed: bool
    words: str


class Turn(StrictModel):
    """One turn of a prompt."""

    role: str
    content: str


class Sample(StrictModel):
    """One test row, answered by the base and by the best checkpoint."""

    id: str
    chosen: Literal["best", "worst", "random"]
    """Why it is shown: among the adapter's best or worst rows, or drawn by a hash of its id."""
    prompt: tuple[Turn, ...]
    reference: str
    base_answer: str | None
    best_answer: str | None
    base_scores: dict[MetricName, float | None]
    best_scores: dict[MetricName, float | None]


class Scorecard(StrictModel):
    """The whole evaluation of one training."""

    version: Literal[1] = 1
    name: str
    """The run's name."""
    trained: Literal["adapter", "model"]
    """What was trained: an adapter over the base, or the whole model."""
    passed: bool
    """Every gate was cleared; true also when none is declared."""
    verdict: str
    """The result in words, for a reader who knows none of the metrics."""
    selected_by: MetricName
    best_step: int
    best_checkpoint: str
    """Folder of the best checkpoint, relative to the training's."""
    best_digest: str
    """SHA-256 over the best checkpoint's files: the weights that these scores are about."""
    checkpoints: tuple[CheckpointScore, ...]
    """Earliest first."""
    base: dict[str, SuiteScore]
    """The base model's scores by suite."""
    best: dict[str, SuiteScore]
    """The best checkpoint's scores by suite."""
    comparisons: tuple[Comparison, ...]
    gates: tuple[GateResult, ...]
    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    """What a reader must know before trusting the numbers."""
    settings: dict[str, str]
    """How each metric is computed."""


def write_scorecard(folder: Path, card: Scorecard) -> None:
    """Write `scorecard.json` under `folder`."""
    (folder / SCORECARD_NAME).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_scorecard(folder: Path) -> Scorecard:
    """The scorecard of an evaluation.

    Raises:
        ArtifactError: there is none, or it is not one that this version of loray wrote.
    """
    path = folder / SCORECARD_NAME
    try:
        return Scorecard.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path} is missing; wanted an evaluation's scorecard; run `loray apply` to make it"
        ) from error
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not a scorecard of version 1 ({error.error_count()} fault(s), the first at "
            f"{'.'.join(str(part) for part in error.errors()[0]['loc'])}); delete the evaluation's "
            "folder and run `loray apply` to make it again"
        ) from error
