"""Workers without Ray: processes of one gloo group that train one cell after another."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

WORKERS = 2
STEPS = {"float32": 12, "bfloat16": 5}
"""Of a job, by the type that it computes in: bfloat16 is slow on most CPUs."""
SET_BACK = 3
"""Steps that are gone again after the run was set back."""


@dataclass(frozen=True)
class Job:
    """A spec to train, from the beginning or, a second time, from the state after some steps."""

    name: str
    spec: Any
    again_from: int | None = None
    again_under: Any = None
    """The spec of the second time, where it is another one."""


@dataclass(frozen=True)
class Trained:
    """What a job left."""

    losses: list[float]
    norms: list[float]
    """Of the gradient, as the engine told them."""
    learned: Any
    """Tensors by the names that they have on disk."""
    first_again: list[float]
    """The first losses, after the run was set back to its beginning."""
    again: Any = None
    """The tensors after training a second time."""


def train_all(
    jobs: list[Job], tokens: str, folder: Path, *, workers: int = WORKERS
) -> dict[str, Trained]:
    """Train every job on all workers; the first worker's results by the jobs' names."""
    import torch

    together(partial(_train_each, jobs, tokens, str(folder)), folder, workers=workers)
    return {job.name: torch.load(folder / f"{job.name}.pt", weights_only=False) for job in jobs}


def together(work: Callable[[int, int], None], folder: Path, *, workers: int = WORKERS) -> None:
    """Call `work` in each of some processes, with the number of its own and how many there are."""
    import torch.multiprocessing as mp

    mp.spawn(_join, (work, str(folder), workers), nprocs=workers)


def _join(worker: int, work: Callable[[int, int], None], folder: str, workers: int) -> None:
    import torch
    import torch.distributed as dist

    os.environ |= {"LOCAL_RANK": str(worker), "DS_ACCELERATOR": "cpu"}
    torch.set_num_threads(1)
    store = f"file://{folder}/group"
    dist.init_process_group("gloo", init_method=store, rank=worker, world_size=workers)
    work(worker, workers)
    dist.destroy_process_group()


def _train_each(jobs: list[Job], tokens: str, folder: str, worker: int, workers: int) -> None:
    import torch

    for job in jobs:
        trained = _train(job, tokens, worker, workers)
        if worker == 0:
            torch.save(trained, Path(folder) / f"{job.name}.pt")


def _train(job: Job, tokens: str, worker: int, workers: int) -> Trained:
    from loray.train.learner import learned_tensors
    from tests.train.loops import build, step_through

    steps = job.spec.train.steps
    first = build(job.spec, tokens, workers=workers)
    beginning = first.engine.weights()
    middle = job.again_from or steps
    step_through(first, job.spec, tokens, range(middle), worker=worker)
    state = first.engine.state()
    step_through(first, job.spec, tokens, range(middle, steps), worker=worker)
    learned = learned_tensors(first.learner, first.engine.weights(), job.spec.base_model)
    losses, norms = list(first.losses), list(first.norms)
    first.engine.restore(beginning, steps_done=0)
    step_through(first, job.spec, tokens, range(SET_BACK), worker=worker)
    first_again = first.losses[steps:]
    if job.again_from is None:
        return Trained(losses, norms, learned, first_again)
    spec = job.again_under or job.spec
    second = build(spec, tokens, workers=workers)
    second.engine.restore(state, steps_done=middle)
    step_through(second, spec, tokens, range(middle, steps), worker=worker)
    again = learned_tensors(second.learner, second.engine.weights(), spec.base_model)
    return Trained(losses, norms, learned, first_again, again)
