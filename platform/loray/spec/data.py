"""The `data` block: sources and steps, and how their rows become token sequences."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loray.spec.base import Finding, Fraction, RuleError, StrictModel
from loray.spec.readmit import ReadmitSpec, refusal_of
from loray.spec.sources import Source
from loray.spec.steps import Step


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

    template: Literal["base", "plain", "chatml", "llama3"] = "base"
    """`base`: the tokenizer's own chat template; `plain`: turns one after another, no marks;
    others by name, for a base whose tokenizer has their control tokens."""
    system: str | None = None
    """A system turn put before rows that bring none."""


class SequenceSpec(StrictModel):
    """Length and packing of training sequences."""

    max_tokens: Annotated[int, Field(ge=16, le=1_048_576)] = 1024
    """Longest training sequence; raw text is cut into pieces of this length."""
    too_long: Literal["reject", "cut_prompt"] = "reject"
    """What becomes of a longer row: the quarantine, or a longest question without its start, which
    counts as `cut_prompt`. An answer is never cut."""
    packing: bool = True
    """Put several rows into one sequence; attention never crosses from one to another."""
    part_tokens: Annotated[int, Field(ge=1024, le=2**31)] = 2**24
    """Most tokens of a file of training sequences; 16 bytes of disk for each."""


class DataSpec(StrictModel):
    """From sources to a dataset."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where rows come from, in any number."""
    steps: tuple[Step, ...] = ()
    """What is done to every row, in this order."""
    readmit: tuple[ReadmitSpec, ...] = ()
    """Rows that a step rejects and are kept all the same."""
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

    @model_validator(mode="after")
    def _what_is_readmitted_can_be(self) -> Self:
        refusals = [(at, refusal_of(r.reason, self.steps)) for at, r in enumerate(self.readmit)]
        findings = [
            Finding(f"readmit.{at}.reason", message, reads=("steps",))
            for at, message in refusals
            if message is not None
        ]
        if findings:
            raise RuleError(*findings)
        return self
