"""What is scored: held-out rows and the candidates that answer them; needs no Ray and no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from loray.errors import EvaluationError
from loray.models.thinking import ThinkMarks, without_thought

Suite = Literal["validation", "test", "general"]
SUITES: tuple[Suite, ...] = ("validation", "test", "general")
BASE = "base"
"""The name of the candidate that is the base model itself."""
CHECKPOINTS = "checkpoints"
STEP_PREFIX = "step-"


@dataclass(frozen=True, slots=True)
class Row:
    """One held-out row."""

    id: str
    prompt: tuple[tuple[str, str], ...]
    """(role, content) of the turns before the answer; empty for raw text, which is not prompted."""
    reference: str
    """The answer that the corpus gives, with the think block that it holds, if any; the text itself
    for raw text."""
    reasoning: str | None = None
    """What leads to the answer, where the corpus has it apart."""
    expected: str | None = None
    """What answers are compared with; the reference where it is not given."""

    @property
    def compared(self) -> str:
        """What answers are compared with."""
        return self.reference if self.expected is None else self.expected


@dataclass(frozen=True, slots=True)
class RowResult:
    """What one candidate made of one row."""

    id: str
    nll_sum: float
    """Negative log-likelihood of the reference, nats, over its target tokens."""
    num_targets: int
    answer: str | None = None
    """Greedy answer to the prompt; None when none was asked for."""
    is_cut: bool = False
    """The answer ended because it reached the longest that is allowed."""
    mean_entropy: float | None = None
    """Entropy of the next-token distribution, nats, averaged over the answer's tokens."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The base model or one checkpoint."""

    name: str
    step: int
    """0 for the base."""
    folder: Path | None
    """None for the base."""


def read_suite(
    dataset: Path,
    suite: Suite,
    *,
    max_rows: int,
    marks: ThinkMarks | None = None,
    include_reasoning: bool = False,
) -> tuple[Row, ...]:
    """The first `max_rows` rows of a suite by id; none when the dataset has no such suite.

    Args:
        marks: of the think blocks of the base that answers.
        include_reasoning: whether answers are compared with their think blocks, or without.
    """
    path = dataset / "eval" / f"{suite}.parquet"
    if not path.is_file():
        return ()
    table = pq.read_table(path, columns=["id", "prompt", "reasoning", "reference"])
    rows = (
        _row(record, marks, include_reasoning=include_reasoning)
        for record in table.sort_by("id").slice(0, max_rows).to_pylist()
    )
    return tuple(rows)


def _row(record: dict[str, Any], marks: ThinkMarks | None, *, include_reasoning: bool) -> Row:
    turns = record["prompt"] or ()
    prompt = tuple((str(turn["role"]), str(turn["content"])) for turn in turns)
    reference, reasoning = str(record["reference"]), record["reasoning"]
    expected = without_thought(reference, marks) if prompt else reference
    if include_reasoning and marks is not None:
        thought = f"{marks.opening}\n{reasoning}\n{marks.closing}\n\n" if reasoning else ""
        expected = thought + reference
    own = None if expected == reference else expected
    return Row(str(record["id"]), prompt, reference, reasoning, own)


def list_checkpoints(training: Path) -> tuple[Candidate, ...]:
    """The checkpoints of a training, earliest first.

    Raises:
        EvaluationError: there is none.
    """
    found = tuple(sorted(_checkpoints(training), key=lambda candidate: candidate.step))
    if not found:
        raise EvaluationError(
            f"{training} holds no {CHECKPOINTS}/{STEP_PREFIX}NNNNNN folder; "
            "train again, or look into the training's log for why it saved nothing"
        )
    return found


def _checkpoints(training: Path) -> Iterator[Candidate]:
    for folder in (training / CHECKPOINTS).glob(f"{STEP_PREFIX}*"):
        digits = folder.name.removeprefix(STEP_PREFIX)
        if folder.is_dir() and digits.isdecimal():
            yield Candidate(name=folder.name, step=int(digits), folder=folder)
