"""One process group of one worker, so that the loop runs without Ray."""

from collections.abc import Iterator
from pathlib import Path

import pytest


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
