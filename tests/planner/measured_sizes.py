"""What `benchmarks/memory.py` measured, beside what the planner says of the same settings today.

`python -m tests.planner.measured_sizes` prints the tables of docs/measurements/memory.md.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from loray.planner.architecture import Architecture
from loray.planner.memory import MIB
from loray.planner.moments import worker_moments
from loray.planner.parameters import count_base
from loray.spec.run import RunSpec
from tests.house import REPOSITORY

FOLDER = REPOSITORY / "docs" / "measurements"
AS_IT_RUNS = FOLDER / "memory-glibc-2026-11-27.json"
"""With glibc's allocator as it is."""
GIVEN_BACK = FOLDER / "memory-2026-11-27.json"
"""What is freed goes back at once; planned without what is kept."""
UNDER_RAY = FOLDER / "memory-ray-2026-11-27.json"
"""Whole runs, of which only the peak is known."""


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
        cells = (
            f"{planned:,.0f} / {self.measured[name]:,.0f}"
            for name, planned in self.planned.items()
            if name in self.measured
        )
        return f"| {self.setting} | {' | '.join(cells)} | {self.error:+.1%} |"


def sizes(file: Path) -> list[Size]:
    """All that was measured there."""
    found = []
    for row in json.loads(file.read_text(encoding="utf-8")):
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
        planned = {}
        for moment in worker_moments(spec, shape):
            kept = moment.device.get("kept", 0.0) if file == GIVEN_BACK else 0.0
            planned[moment.name] = (moment.device_total - kept) / MIB
        planned["peak"] = max(planned.values())
        found.append(Size(row["setting"], count_base(shape).total, planned, row["measured_mib"]))
    return found


def table(file: Path) -> list[str]:
    """The lines of its table."""
    moments = "" if file == UNDER_RAY else " loading | step | checkpoint |"
    head = f"| base | learns | type | batch |{moments} peak | error |"
    rule = "|---|---|---|---|" + "---:|" * (head.count("|") - 5)
    return [head, rule, *(size.line for size in sizes(file))]


if __name__ == "__main__":
    print("\n".join([*table(AS_IT_RUNS), "", *table(GIVEN_BACK), "", *table(UNDER_RAY)]))
