"""What training recorded of itself, `{history,vitals,diagnoses}.jsonl`, read for the report.

A line that is no JSON object is passed over: the report shows what is there, it does not judge it.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from loray.artifacts.diagnosis import DIAGNOSES_NAME, Diagnosis, diagnosis_of

_MODULE = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.(?:.*\.)?(\w+)$")


@dataclass(frozen=True, slots=True)
class Vital:
    """One adapted module at one step."""

    step: int
    layer: int
    projection: str
    ratio: float
    """Norm of the update over the norm of the frozen weight."""
    update_ratio: float | None = None
    """Norm of the step's change over the same; None if it was not recorded."""
    effective_rank: float | None = None
    """Directions that the update uses; None if it was not recorded."""
    grad_sparsity: float | None = None
    """Share of the gradient's entries that are zero, 0 to 1; None if it was not recorded."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What one step took; None where it was not recorded."""

    step: int
    seconds: float
    data_seconds: float | None = None
    """Of these, waiting for batches."""
    vitals_seconds: float | None = None
    """Of these, measuring modules."""
    tokens_per_second: float | None = None
    peak_memory_bytes: float | None = None
    """The most that worker 0 had so far."""
    flops_utilization: float | None = None
    """Share of the devices' peak, 0 to 1."""
    workers: float | None = None

    @property
    def data_share(self) -> float | None:
        """Share of the step that was waiting for batches, 0 to 1."""
        return None if self.data_seconds is None else self.data_seconds / self.seconds


def read_losses(training: Path) -> list[tuple[int, float]]:
    """(step, mean loss per target token in nats), by step; a step written twice counts once."""
    found: dict[int, float] = {}
    for record in _records(training / "history.jsonl"):
        step, loss = record.get("step"), _number(record.get("loss"))
        if isinstance(step, int) and loss is not None:
            found[step] = loss
    return sorted(found.items())


def read_vitals(training: Path) -> list[Vital]:
    """Weight-norm ratios of the modules of numbered layers, by step, layer and projection."""
    found: dict[tuple[int, int, str], Vital] = {}
    for record in _records(training / "vitals.jsonl"):
        step, ratio = record.get("step"), _number(record.get("weight_norm_ratio"))
        named = _MODULE.search(str(record.get("module")))
        if isinstance(step, int) and ratio is not None and named is not None:
            layer, projection = int(named[1]), named[2]
            found[step, layer, projection] = Vital(
                step,
                layer,
                projection,
                ratio,
                update_ratio=_number(record.get("update_ratio")),
                effective_rank=_number(record.get("effective_rank")),
                grad_sparsity=_number(record.get("grad_sparsity")),
            )
    return [found[key] for key in sorted(found)]


def read_paces(training: Path) -> list[Pace]:
    """What the steps took, by step."""
    found: dict[int, Pace] = {}
    names = [each.name for each in fields(Pace) if each.name not in {"step", "seconds"}]
    for record in _records(training / "history.jsonl"):
        step, seconds = record.get("step"), _number(record.get("seconds"))
        if isinstance(step, int) and seconds is not None and seconds > 0:
            known = {name: _number(record.get(name)) for name in names}
            found[step] = Pace(step, seconds, **known)
    return [found[step] for step in sorted(found)]


def read_diagnoses(training: Path) -> list[Diagnosis]:
    """What was diagnosed, in the order in which it was."""
    found = []
    for record in _records(training / DIAGNOSES_NAME):
        try:
            found.append(diagnosis_of(record))
        except (KeyError, TypeError):
            continue
    return found


def spread_of(
    vitals: Iterable[Vital], value: Callable[[Vital], float | None]
) -> list[tuple[int, float, float, float]]:
    """(step, smallest, median, largest) of a value over all modules, by step."""
    by_step: dict[int, list[float]] = defaultdict(list)
    for vital in vitals:
        if (found := value(vital)) is not None:
            by_step[vital.step].append(found)
    return [
        (step, min(ratios), sorted(ratios)[len(ratios) // 2], max(ratios))
        for step, ratios in sorted(by_step.items())
    ]


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None
