"""Two workers without Ray: processes of one gloo group that train one cell after another."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKERS = 2
STEPS = 20
SET_BACK = 3
"""Steps that are gone again after the run was set back."""


@dataclass(frozen=True)
class Job:
    """A spec to train, from the beginning or, a second time, from the state after some steps."""

    name: str
    spec: Any
    again_from: int | None = None


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


def train_all(jobs: list[Job], tokens: str, folder: Path) -> dict[str, Trained]:
    """Train every job on two workers; the first worker's results by the jobs' names."""
    import torch
    import torch.multiprocessing as mp

    mp.spawn(_work, (jobs, tokens, str(folder)), nprocs=WORKERS)
    return {job.name: torch.load(folder / f"{job.name}.pt", weights_only=False) for job in jobs}


def _work(worker: int, jobs: list[Job], tokens: str, folder: str) -> None:
    import torch
    import torch.distributed as dist

    os.environ |= {"LOCAL_RANK": str(worker), "DS_ACCELERATOR": "cpu"}
    torch.set_num_threads(1)
    store = f"file://{folder}/group"
    dist.init_process_group("gloo", init_method=store, rank=worker, world_size=WORKERS)
    for job in jobs:
        trained = _train(job, tokens, worker)
        if worker == 0:
            torch.save(trained, Path(folder) / f"{job.name}.pt")
    dist.destroy_process_group()


def _train(job: Job, tokens: str, worker: int) -> Trained:
    from loray.train.learner import learned_tensors
    from tests.train.loops import build, step_through

    first = build(job.spec, tokens, workers=WORKERS)
    beginning = first.engine.weights()
    middle = job.again_from or STEPS
    step_through(first, job.spec, tokens, range(middle), place=(worker, WORKERS))
    state = first.engine.state()
    step_through(first, job.spec, tokens, range(middle, STEPS), place=(worker, WORKERS))
    learned = learned_tensors(first.learner, first.engine.weights(), job.spec.base_model)
    losses, norms = list(first.losses), list(first.norms)
    first.engine.restore(beginning, steps_done=0)
    step_through(first, job.spec, tokens, range(SET_BACK), place=(worker, WORKERS))
    first_again = first.losses[STEPS:]
    if job.again_from is None:
        return Trained(losses, norms, learned, first_again)
    second = build(job.spec, tokens, workers=WORKERS)
    second.engine.restore(state, steps_done=middle)
    step_through(second, job.spec, tokens, range(middle, STEPS), place=(worker, WORKERS))
    again = learned_tensors(second.learner, second.engine.weights(), job.spec.base_model)
    return Trained(losses, norms, learned, first_again, again)
