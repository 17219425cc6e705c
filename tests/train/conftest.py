"""What the tests of training share."""

from collections.abc import Iterator
from pathlib import Path

import pytest


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
