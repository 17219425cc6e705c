"""What learns beside A and B, and EVA, on two workers: every strategy beside the plain one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from loray.spec.compatibility import Cell
from tests.train.group import Job, Trained, train_all
from tests.train.sequences import make_rows, write_tokens
from tests.train.test_strategies import (
    LEGAL,
    LORA,
    LOSS_TOLERANCE,
    RESUMED,
    WEIGHT_TOLERANCE,
    name_of,
    spec_of,
)

pytestmark = pytest.mark.workers
TYPES = (("none", "float32"), ("nf4", "bfloat16"))
"""The two ends of what a base may be; the four between are in `test_strategies.py`."""
CELLS = [
    c
    for c in LEGAL
    if (c["method"], c["offload"]) == ("lora", "none") and (c["quantization"], c["dtype"]) in TYPES
]
EVA = ("plain", "pipeline", "zero-0", "zero-1", "zero-2")
TOLERANCE = LOSS_TOLERANCE | {"bfloat16": 1e-2}
"""Largest relative difference of a step's loss. Rows of an embedding that few tokens reach have
gradients of the size of bfloat16's rounding, and Adam moves these as far as any others."""
BESIDE: dict[str, Any] = {"biases": "all", "modules_to_save": ("embed_tokens", "lm_head")}


def job(name: str, cell: Cell, model: Path, again_from: int | None, **method: Any) -> Job:
    """A cell's run with another method."""
    spec = spec_of(cell, model)
    changed = {"method": spec.method.model_copy(update=method)}
    return Job(name, spec.model_copy(update=changed), again_from)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, biased: Path) -> dict[str, Trained]:
    """A base with biases, all of which learn, and so do its embedding and output projection."""
    folder = tmp_path_factory.mktemp("beside")
    tokens = write_tokens(folder, make_rows(40))
    jobs = [
        job(name_of(cell), cell, biased, 7 if cell in RESUMED else None, **BESIDE) for cell in CELLS
    ]
    return train_all(jobs, tokens, folder)


@pytest.fixture(scope="module")
def eva(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Trained]:
    folder = tmp_path_factory.mktemp("eva")
    tokens = write_tokens(folder, make_rows(40))
    jobs = [job(name, LORA | {"strategy": name}, model, 7, init="eva") for name in EVA]
    jobs.append(job("kaiming", LORA | {"strategy": "plain"}, model, None))
    return train_all(jobs, tokens, folder)


@pytest.mark.parametrize("cell", CELLS, ids=name_of)
def test_biases_and_whole_modules_learn_alike_under_every_strategy(
    beside: dict[str, Trained], biased: Path, cell: Cell
) -> None:
    found = beside[name_of(cell)]
    plain = beside[name_of({**cell, "strategy": "plain"})]
    assert found.losses == pytest.approx(plain.losses, rel=TOLERANCE[cell["dtype"]])
    assert found.first_again == found.losses[: len(found.first_again)]
    before = load_file(biased / "model.safetensors")
    names = [name for name in found.learned if "lora_" not in name]
    assert len(names) == 6 + 2
    for name in names:
        base = before[name.removeprefix("base_model.model.").replace(".base_layer", "")]
        assert not torch.equal(found.learned[name].float(), base)
    if cell["dtype"] == "float32":
        for name, tensor in found.learned.items():
            torch.testing.assert_close(tensor, plain.learned[name], rtol=0, atol=WEIGHT_TOLERANCE)
    if cell in RESUMED:
        assert all(torch.equal(found.again[name], found.learned[name]) for name in found.learned)


@pytest.mark.parametrize("strategy", EVA)
def test_eva_begins_alike_under_every_strategy_and_resumes(
    eva: dict[str, Trained], strategy: str
) -> None:
    found, plain = eva[strategy], eva["plain"]
    assert found.losses == pytest.approx(plain.losses, rel=LOSS_TOLERANCE["float32"])
    # B is zero at first: both begin with the base's loss, and part from there.
    assert found.losses[0] == pytest.approx(eva["kaiming"].losses[0], rel=1e-5)
    assert found.losses[-1] != pytest.approx(eva["kaiming"].losses[-1], rel=1e-3)
    assert found.first_again == found.losses[: len(found.first_again)]
    for name, tensor in found.learned.items():
        torch.testing.assert_close(tensor, plain.learned[name], rtol=0, atol=WEIGHT_TOLERANCE)
        assert torch.equal(found.again[name], tensor)
