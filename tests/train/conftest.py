"""One process group of one worker, so that the loop runs without Ray Train's processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loray.train.task import WorkerTask


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    import os

    import torch
    import torch.distributed as dist

    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_RANK", "0")
    torch.set_num_threads(1)
    store = tmp_path_factory.mktemp("group") / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def here(alone: None, ray_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
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

    monkeypatch.setattr(run, "run_workers", run_here)


@pytest.fixture(scope="module", autouse=True)
def _own_linear() -> Iterator[None]:
    """ZeRO 3 replaces torch's linear function for good; other modules' tests have their own."""
    from torch.nn import functional

    linear = functional.linear
    yield
    functional.linear = linear


@pytest.fixture(scope="session")
def model(tiny_model_dir: Path) -> Path:
    return tiny_model_dir


@pytest.fixture(scope="session")
def biased(biased_model_dir: Path) -> Path:
    return biased_model_dir
