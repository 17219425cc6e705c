"""Training in the process of a test: without the processes of Ray Train, and so in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loray.train.task import WorkerTask


@contextmanager
def process_group(store: Path) -> Iterator[None]:
    """A process group of this one process."""
    import os

    import torch
    import torch.distributed as dist

    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_RANK", "0")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@contextmanager
def training_here() -> Iterator[None]:
    """`train_to` trains in this process, as its only worker; all else is as it is on Ray Train.

    A controller and a worker that import torch take 13 s of two cores, for each run.
    """
    from ray.train.v2._internal.execution.train_fn_utils import (
        LocalTrainFnUtils,
        set_train_fn_utils,
    )

    from loray.train import run
    from loray.train.task import train_worker

    def run_here(task: "WorkerTask", *, storage: Path) -> str | None:
        storage.mkdir(parents=True, exist_ok=True)
        set_train_fn_utils(LocalTrainFnUtils(experiment_name=storage.name))
        try:
            train_worker({"task": task})
        except Exception as error:  # noqa: BLE001 (whatever it is, as Ray Train does)
            return f"training stopped: {error}"
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run_workers", run_here)
        yield
