"""What the driver hands to its workers; light, so that a driver needs no torch."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train

from loray.spec.run import RunSpec
from loray.train.rates import RateRange


@dataclass(frozen=True)
class WorkerTask:
    """What the driver tells every worker."""

    spec: RunSpec
    tokens: str
    """The dataset's `tokens`, a local folder or a URI."""
    checkpoints: str
    """URI of the run's checkpoints."""
    attempt: int
    working_folder: str
    """Where the driver runs, and what the spec's relative paths are relative to."""
    progress: Any
    """Handle of a `ProgressActor`; hears of steps, and of errors that would only repeat."""
    trackers: Any = None
    """Handle of a `TrackerActor`, which hears of steps; None if no tracker is asked for."""
    rates: RateRange | None = None
    """Try these learning rates and leave their losses with `progress`, instead of training."""


def train_worker(config: dict[str, Any]) -> None:
    """Entry point on a worker: errors of ours end the run, deaths of machines resume it."""
    task: WorkerTask = config["task"]
    failure: Any = ray.get(task.progress.failure.remote())
    if failure is not None:
        return  # Ray Train starts the workers again; the driver reads the failure and raises
    if Path(task.working_folder).is_dir():
        os.chdir(task.working_folder)  # Ray Train moved this worker to a folder of its own
    if not task.spec.resources.gpus_per_worker:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # spares DeepSpeed a search and a warning
    from loray.train.worker import train, try_rates  # noqa: PLC0415 (torch and DeepSpeed: 10 s)

    try:
        train(task) if task.rates is None else try_rates(task, task.rates)
    except RuntimeError as error:  # a peer that died looks like this too: worth another try
        if is_out_of_memory(error):
            worker = ray.train.get_context().get_world_rank()
            ray.get(task.progress.out_of_memory.remote(worker, str(error)))
        raise
    except Exception as error:
        ray.get(task.progress.fail.remote(f"{type(error).__name__}: {error}"))
        raise


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had too little memory, or the host when torch asked it."""
    import torch  # noqa: PLC0415

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
