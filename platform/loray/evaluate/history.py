"""What training recorded of itself, `{history,vitals,diagnoses}.jsonl`, read for the report.

A line that is no JSON object is passed over: the report shows what is there, it does not judge it.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
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
            found[step, layer, projection] = Vital(step, layer, projection, ratio)
    return [found[key] for key in sorted(found)]


def read_diagnoses(training: Path) -> list[Diagnosis]:
    """What was diagnosed, in the order in which it was."""
    found = []
    for record in _records(training / DIAGNOSES_NAME):
        try:
            found.append(diagnosis_of(record))
        except (KeyError, TypeError):
            continue
    return found


def ratio_spread(vitals: list[Vital]) -> list[tuple[int, float, float, float]]:
    """(step, smallest, median, largest) weight-norm ratio over all modules, by step."""
    by_step: dict[int, list[float]] = defaultdict(list)
    for vital in vitals:
        by_step[vital.step].append(vital.ratio)
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
