"""The `data` block: where rows come from, what is done to them, how they become token sequences."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from loray.spec.base import (
    Column,
    Count,
    Finding,
    Fraction,
    Location,
    RuleError,
    ServerUrl,
    StrictModel,
)


class FieldsSpec(StrictModel):
    """Which columns of a source hold what; `prompt` and `completion`, or `messages`, or `text`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "question", "completion": "answer"}]}
    )

    prompt: Column | None = None
    """Column with what the user asks."""
    completion: Column | None = None
    """Column with the answer that is learned."""
    messages: Column | None = None
    """Column with a list of `{role, content}` turns; every assistant turn is learned."""
    text: Column | None = None
    """Column with raw text that is learned whole."""
    group: Column | None = None
    """Column whose equal values stay in one split; the row itself when not named."""

    @model_validator(mode="after")
    def _one_shape_of_row(self) -> Self:
        pair = self.prompt is not None and self.completion is not None
        half = (self.prompt is None) != (self.completion is None)
        shapes = [pair, self.messages is not None, self.text is not None]
        if half or sum(shapes) != 1:
            raise ValueError(
                "name the columns of exactly one shape of row: `prompt` and `completion`, "
                "or `messages`, or `text`"
            )
        return self


class S3Spec(StrictModel):
    """How to reach an `s3://` bucket; credentials come from the environment, never from here."""

    endpoint: ServerUrl | None = None
    """URL of an S3-compatible server; AWS when not given."""
    region: str = "us-east-1"
    """Region of the bucket."""


class JsonlSource(StrictModel):
    """JSON Lines: one object a line, plain or gzip-compressed."""

    kind: Literal["jsonl"]
    uri: Location
    """A path or glob on local disk or `s3://bucket/key`."""
    fields: FieldsSpec
    """Which columns hold what."""
    s3: S3Spec = S3Spec()
    """Read only when `uri` is on S3."""


class ParquetSource(StrictModel):
    """Apache Parquet files."""

    kind: Literal["parquet"]
    uri: Location
    """A path or glob on local disk or `s3://bucket/key`."""
    fields: FieldsSpec
    """Which columns hold what."""
    s3: S3Spec = S3Spec()
    """Read only when `uri` is on S3."""


Source = Annotated[JsonlSource | ParquetSource, Field(discriminator="kind")]


class UnicodeStep(StrictModel):
    """Repair mojibake, normalise to NFC, remove zero-width, bidi, tag and control characters."""

    kind: Literal["unicode"]


class ControlTokensStep(StrictModel):
    """Neutralise the tokenizer's control tokens where a row holds them as plain text."""

    kind: Literal["control_tokens"]


class PiiStep(StrictModel):
    """Replace personal data by typed placeholders such as `<EMAIL_1f3a>`."""

    kind: Literal["pii"]
    entities: tuple[Literal["email", "ip", "phone", "card"], ...] = ("email", "ip", "phone", "card")
    """What is looked for; a card number counts only with a sound Luhn checksum."""


class LengthStep(StrictModel):
    """Reject rows whose texts together have fewer or more characters than allowed."""

    kind: Literal["length"]
    min_chars: Count = 1
    """Fewest characters in all turns of a row together."""
    max_chars: Count = 1_000_000
    """Most characters in all turns of a row together."""


class ExactDuplicatesStep(StrictModel):
    """Reject every row whose turns equal those of a row with a smaller id."""

    kind: Literal["exact_duplicates"]


Step = Annotated[
    UnicodeStep | ControlTokensStep | PiiStep | LengthStep | ExactDuplicatesStep,
    Field(discriminator="kind"),
]


class SplitSpec(StrictModel):
    """How rows are held out: by a hash of the row's group, so that no group is in two splits."""

    validation: Fraction = 0.05
    """Share of groups that choose the checkpoint."""
    test: Fraction = 0.05
    """Share of groups that judge the chosen checkpoint."""

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise RuleError(
                Finding(
                    "validation",
                    f"validation {self.validation} + test {self.test} leaves no row to train on; "
                    "make their sum less than 1",
                    reads=("test",),
                )
            )
        return self


class ReplaySpec(StrictModel):
    """General-domain rows mixed into training against forgetting, and held out to measure it."""

    source: Source
    """Where general-domain rows come from; they pass the same steps as the others."""
    fraction: Annotated[float, Field(gt=0.0, le=0.5)] = 0.08
    """Share of the training data's target tokens that are replay."""


class ChatSpec(StrictModel):
    """How turns become one token sequence."""

    template: Literal["base", "plain"] = "base"
    """`base`: the tokenizer's own chat template; `plain`: turns one after another, no marks."""
    system: str | None = None
    """A system turn put before rows that bring none."""


class SequenceSpec(StrictModel):
    """Length and packing of training sequences."""

    max_tokens: Annotated[int, Field(ge=16, le=1_048_576)] = 1024
    """Longest training sequence; a longer row is quarantined, raw text is cut into pieces."""
    packing: bool = True
    """Put several rows into one sequence; attention never crosses from one to another."""


class DataSpec(StrictModel):
    """From sources to a dataset."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where rows come from, in any number."""
    steps: tuple[Step, ...] = ()
    """What is done to every row, in this order."""
    replay: ReplaySpec | None = None
    """General-domain rows against forgetting; none when not given."""
    split: SplitSpec = SplitSpec()
    """How rows are held out."""
    chat: ChatSpec = ChatSpec()
    """How turns are rendered."""
    sequence: SequenceSpec = SequenceSpec()
    """How tokens are cut and packed."""
    max_rejected: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of rows that may be quarantined before the stage fails."""
