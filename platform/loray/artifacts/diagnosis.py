"""What went wrong in a run, in words: what was seen, what was done about it, and which rows to see.

Diagnoses are kept in the checkpoints with the rest of the guard's state and end up in
`diagnoses.jsonl`, for `loray doctor run` and the report.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

DIAGNOSES_NAME = "diagnoses.jsonl"

Kind = Literal[
    "divergence",
    "spike",
    "not_finite",
    "erratic",
    "plateau",
    "dead_modules",
    "outgrown",
    "row_faults",
    "tracker",
    "damaged_checkpoint",
    "failed",
]


@dataclass(frozen=True)
class SuspectRow:
    """A row to look at."""

    id: str
    """Its id in the dataset."""
    why: str
    place: str | None = None
    """`source:line`, once the dataset was asked."""


@dataclass(frozen=True)
class Diagnosis:
    """One finding."""

    kind: Kind
    step: int
    """Optimizer steps done when it was made."""
    seen: str
    """The evidence."""
    done: str
    """What the guard did, or what the reader may do."""
    rows: tuple[SuspectRow, ...] = ()

    def __str__(self) -> str:
        text = f"step {self.step}: {self.kind.replace('_', ' ')}: {self.seen}; {self.done}"
        return "\n".join([text, *(f"    {row.place or row.id}: {row.why}" for row in self.rows)])

    def naming(self, rows: Iterable[SuspectRow]) -> "Diagnosis":
        """The same with rows to look at."""
        return replace(self, rows=tuple(rows))

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows]}


def diagnosis_of(record: dict[str, Any]) -> Diagnosis:
    """The diagnosis that a record was made of."""
    rows = tuple(SuspectRow(**row) for row in record["rows"])
    return Diagnosis(**{**record, "rows": rows})


def to_lines(diagnoses: Iterable[Diagnosis]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(found.record()) + "\n" for found in diagnoses)


def from_lines(text: str) -> list[Diagnosis]:
    """What `to_lines` wrote."""
    return [diagnosis_of(json.loads(line)) for line in text.splitlines()]
