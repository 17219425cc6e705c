"""What `benchmarks/memory.py` measured, beside what the planner says of the same settings today.

`python -m tests.planner.measured_sizes` prints the table of docs/measurements/memory.md.
"""

import json
from dataclasses import dataclass

from loray.planner.memory import MIB
from loray.planner.moments import worker_moments
from loray.planner.parameters import Architecture, count_base
from loray.spec.run import RunSpec
from tests.house import REPOSITORY

FILE = REPOSITORY / "docs" / "measurements" / "memory-2026-11-26.json"


@dataclass(frozen=True)
class Size:
    """One setting; MiB by moment, the greatest of them under `peak`."""

    setting: str
    parameters: int
    planned: dict[str, float]
    measured: dict[str, float]

    @property
    def error(self) -> float:
        """Of the peak: planned over measured, minus one."""
        return self.planned["peak"] / self.measured["peak"] - 1.0

    @property
    def line(self) -> str:
        """Of the table."""
        cells = (f"{self.planned[name]:,.0f} / {self.measured[name]:,.0f}" for name in self.planned)
        return f"| {self.setting} | {' | '.join(cells)} | {self.error:+.1%} |"


def sizes() -> list[Size]:
    """All that was measured."""
    found = []
    for row in json.loads(FILE.read_text(encoding="utf-8")):
        spec = RunSpec.model_validate_json(json.dumps(row["spec"]))
        hidden, intermediate, layers, heads, kv_heads, vocabulary = row["shape"]
        shape = Architecture(
            hidden=hidden,
            intermediate=intermediate,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_size=hidden // heads,
            vocabulary=vocabulary,
            is_tied=True,
        )
        moments = worker_moments(spec, shape)
        planned = {moment.name: moment.device_total / MIB for moment in moments}
        planned["peak"] = max(planned.values())
        found.append(Size(row["setting"], count_base(shape).total, planned, row["measured_mib"]))
    return found


def table() -> list[str]:
    """The lines of the table."""
    head = ["| base | learns | type | batch | loading | step | checkpoint | peak | error |",
            "|---|---|---|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    return head + [size.line for size in sizes()]


if __name__ == "__main__":
    print("\n".join(table()))
