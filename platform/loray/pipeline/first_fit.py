"""Types, quantization and batch that fit this machine, by the planner."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from loray.errors import ModelError
from loray.machines.hardware import Machine
from loray.planner.architecture import Architecture
from loray.planner.families import architecture_for
from loray.planner.memory import GIB
from loray.planner.moments import largest, worker_moments
from loray.spec.overrides import path_of, with_value
from loray.spec.run import RunSpec

MICRO_SIZES = {"cpu": (4, 2, 1), "gpu": (8, 4, 2, 1)}
BATCH = 16
"""Sequences of a step that is planned."""
MOST_WORKERS = 8
MOST_CPUS = 16
GPU_CPUS = 4
"""Of a worker with a GPU, which computes little on them."""
USED = 0.9
"""Share of the free memory that is planned with."""


@dataclass(frozen=True)
class Fit:
    """What fits, or comes nearest."""

    dtype: str = "float32"
    quantization: str = "none"
    gradient_checkpointing: bool = False
    micro_size: int = 4
    strategy: dict[str, Any] = field(default_factory=lambda: {"kind": "plain"})
    resources: dict[str, Any] = field(default_factory=lambda: {"workers": 1})
    why: str = ""
    fits: bool = True


def fit_to(document: dict[str, Any], machine: Machine) -> Fit:
    """The fullest settings with which a worker fits the memory that there is.

    First all weights as they are, then activations computed again, then NF4; in each the largest
    micro-batch that fits.
    """
    candidates = list(_candidates(machine))
    try:
        shape = architecture_for(RunSpec.model_validate(document).base_model)
    except ModelError:
        return replace(candidates[0], why="memory is not known: the base is not on this disk")
    gib = machine.gpus[0].gib if machine.gpus else USED * machine.free_gib
    for candidate in candidates:
        if _needs(document, candidate, shape) <= gib:
            return replace(
                candidate, why=f"{_type(candidate)} fits {_place(machine)}, by the planner"
            )
    needs = _needs(document, candidates[-1], shape)
    why = f"a worker needs {needs:.1f} GiB, more than {_place(machine)} has; take a smaller base"
    return replace(candidates[-1], why=why, fits=False)


def _needs(document: dict[str, Any], fit: Fit, shape: Architecture) -> float:
    """What a worker's device holds at most, GiB."""
    return largest(worker_moments(_spec(document, fit), shape)).device_total / GIB


def _candidates(machine: Machine) -> Iterator[Fit]:
    device = "gpu" if machine.gpus else "cpu"
    workers = _workers(machine)
    resources = {
        "workers": workers,
        "cpus_per_worker": max(min(machine.cpus // workers, GPU_CPUS), 1)
        if machine.gpus
        else min(machine.cpus, MOST_CPUS),
        "gpus_per_worker": int(bool(machine.gpus)),
    }
    strategy = {"kind": "plain"} if workers == 1 else {"kind": "deepspeed", "zero_stage": 2}
    for quantization in ("none", "nf4"):
        for again in (False, True):
            for micro in MICRO_SIZES[device]:
                yield Fit(
                    "bfloat16" if machine.gpus else "float32",
                    quantization,
                    again,
                    micro,
                    strategy,
                    resources,
                )


def _workers(machine: Machine) -> int:
    """As many as there are GPUs, rounded to what divides a batch."""
    workers = 1
    while 2 * workers <= min(len(machine.gpus), MOST_WORKERS):
        workers *= 2
    return workers


def _spec(document: dict[str, Any], fit: Fit) -> RunSpec:
    micro = min(fit.micro_size, BATCH // fit.resources["workers"])
    changes = {
        "base_model.dtype": fit.dtype,
        "base_model.quantization": fit.quantization,
        "train.gradient_checkpointing": fit.gradient_checkpointing,
        "train.batch": {"global_size": BATCH, "micro_size": micro},
        "train.strategy": fit.strategy,
        "resources": fit.resources,
    }
    changed: Any = document
    for path, value in changes.items():
        changed = with_value(changed, path_of(path), value)
    return RunSpec.model_validate(changed)


def _type(fit: Fit) -> str:
    return fit.dtype if fit.quantization == "none" else f"{fit.quantization} with {fit.dtype}"


def _place(machine: Machine) -> str:
    if machine.gpus:
        return f"a {machine.gpus[0].name} of {machine.gpus[0].gib:.0f} GiB"
    return f"the {machine.free_gib:.0f} GiB of memory that are free here"
