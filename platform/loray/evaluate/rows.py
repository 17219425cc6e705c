"""What is scored: held-out rows and the candidates that answer them; needs no Ray and no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from loray.errors import EvaluationError

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
    """The answer that the corpus gives; the text itself for raw text."""


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
    is_too_long: bool = False
    """The row, or its prompt, exceeds the model's context: what does not fit was left out."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The base model or one checkpoint."""

    name: str
    step: int
    """0 for the base."""
    folder: Path | None
    """None for the base."""


def read_suite(dataset: Path, suite: Suite, *, max_rows: int) -> tuple[Row, ...]:
    """The first `max_rows` rows of a suite by id; none when the dataset has no such suite."""
    path = dataset / "eval" / f"{suite}.parquet"
    if not path.is_file():
        return ()
    table = pq.read_table(path, columns=["id", "prompt", "reference"])
    rows = (_row(record) for record in table.sort_by("id").slice(0, max_rows).to_pylist())
    return tuple(rows)


def _row(record: dict[str, Any]) -> Row:
    turns = record["prompt"] or ()
    prompt = tuple((str(turn["role"]), str(turn["content"])) for turn in turns)
    return Row(id=str(record["id"]), prompt=prompt, reference=str(record["reference"]))


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
