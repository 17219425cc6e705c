"""What a run wrote down: a line a step, and a line a module at recorded steps.

Lines wait here until a checkpoint takes them along, so that a resumed run's journal has each step
exactly once.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

HISTORY_NAME = "history.jsonl"
VITALS_NAME = "vitals.jsonl"
Record = dict[str, float | int | str]


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did, over all workers."""

    loss: float
    """Mean loss per target token, nats."""
    num_targets: int
    """Tokens that the loss counted."""
    num_tokens: int
    """Tokens that went through the model, padding left out."""
    grad_norm: float
    """L2 norm of the whole gradient before it was clipped."""
    learning_rate: float


@dataclass(frozen=True)
class StepCost:
    """What one optimizer step took, on worker 0."""

    workers: int
    """That took it; another number once the run was resized."""
    seconds: float
    """From its first batch to its last record."""
    data_seconds: float
    """Of these, waiting for batches."""
    vitals_seconds: float
    """Of these, measuring the modules; 0 at a step that is not recorded."""
    tokens_per_second: float
    """Tokens of all workers that were no padding, over the seconds without `vitals_seconds`."""
    peak_memory_bytes: int | None
    """Most memory that the worker had so far: of its GPU allocated, on a CPU resident.

    None where the system does not tell.
    """
    flops_utilization: float | None
    """Floating-point operations a second over the devices' peak, recomputing counted, 0 to 1.

    None where the peak is not known, as on a CPU. Source: arXiv:2204.02311, appendix B.
    """

    def record(self) -> Record:
        """For the journal: what is not known is left out."""
        found = {name: value for name, value in vars(self).items() if value is not None}
        return {name: round(v, 6) if isinstance(v, float) else v for name, v in found.items()}


@dataclass
class Journal:
    """Lines since the last checkpoint."""

    history: list[Record] = field(default_factory=list)
    vitals: list[Record] = field(default_factory=list)

    def note(self, step: int, result: StepResult, cost: StepCost) -> Record:
        """Add the line of one step, and return it; `step` counts from 1."""
        self.history.append({"step": step, **asdict(result), **cost.record()})
        return self.history[-1]

    def clear(self) -> None:
        """Forget the lines: their steps are done again."""
        self.history.clear()
        self.vitals.clear()

    def write(self, folder: Path) -> None:
        """Move the lines into files under `folder`."""
        for name, lines in ((HISTORY_NAME, self.history), (VITALS_NAME, self.vitals)):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / name).write_text(text, encoding="utf-8")
        self.clear()


def summarize(history: list[str]) -> dict[str, float]:
    """Totals over a run's lines: steps, workers, tokens, losses in nats, tokens a second."""
    lines = [json.loads(line) for line in history]
    tokens = sum(line["num_tokens"] for line in lines)
    workers = [line["workers"] for line in lines]
    seconds = sum(line["seconds"] for line in lines)
    return {
        "steps": len(lines),
        "fewest_workers": min(workers),
        "most_workers": max(workers),
        "tokens": tokens,
        "target_tokens": sum(line["num_targets"] for line in lines),
        "first_loss": lines[0]["loss"],
        "final_loss": lines[-1]["loss"],
        "train_seconds": round(seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
    }
