"""Gradient checkpointing: the same gradients, and the memory that the planner says it saves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loray.planner.activations import activation_bytes
from loray.planner.configs import read_architecture
from loray.planner.memory import train_memory
from loray.spec.run import RunSpec
from tests.house import REPOSITORY
from tests.train.sequences import make_spec

pytestmark = pytest.mark.slow
SEQUENCES, TOKENS = 4, 512
AGREES = 0.05
"""Largest relative error of the planned difference."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose activations are hundreds of megabytes."""
    from loray.quickstart.initialise import write_random_model

    folder = tmp_path_factory.mktemp("models") / "wide"
    write_random_model(
        folder,
        vocab_size=300,
        hidden_size=256,
        layers=8,
        heads=4,
        kv_heads=2,
        intermediate=704,
        max_positions=TOKENS,
        seed=0,
    )
    return folder


def measured_spec(model: Path, *, recompute: bool, dora: bool = False) -> RunSpec:
    return make_spec(
        model,
        base_model__quantization="none",
        data__sequence={"max_tokens": TOKENS, "packing": False},
        train__batch={"global_size": SEQUENCES, "micro_size": SEQUENCES},
        train__gradient_checkpointing=recompute,
        method__dora=dora,
    )


def peak(folder: Path, model: Path, *, recompute: bool, dora: bool = False) -> dict:
    spec = measured_spec(model, recompute=recompute, dora=dora)
    ids = [20 + at % 200 for at in range(TOKENS)]
    row = {"input_ids": ids, "labels": [-100] * 10 + ids[10:], "positions": list(range(TOKENS))}
    (folder / "spec.json").write_text(spec.model_dump_json(exclude_unset=True), encoding="utf-8")
    (folder / "rows.json").write_text(json.dumps([row] * SEQUENCES), encoding="utf-8")
    files = [str(folder / "spec.json"), str(folder / "rows.json")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.peak", *files],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        # Else the allocator keeps what is freed, and half of the peak is memory that nobody uses.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def kept(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a plain LoRA needs that keeps its activations."""
    return peak(tmp_path_factory.mktemp("kept"), wide, recompute=False)


def test_a_dora_needs_as_much_more_as_is_planned(wide, kept, tmp_path):
    found = peak(tmp_path, wide, recompute=False, dora=True)
    planned = []
    for dora in (False, True):
        spec = measured_spec(wide, recompute=False, dora=dora)
        memory = train_memory(spec, read_architecture(spec.base_model))
        planned.append(memory.activations + memory.buffers)
    assert found["bytes"] - kept["bytes"] == pytest.approx(planned[1] - planned[0], rel=AGREES)


def test_gradients_are_the_same_and_the_planned_memory_is_saved(wide, kept, tmp_path):
    again = peak(tmp_path, wide, recompute=True)
    assert kept["gradients"] == again["gradients"]
    specs = [measured_spec(wide, recompute=recompute) for recompute in (False, True)]
    shape = read_architecture(specs[0].base_model)
    planned = [activation_bytes(spec, shape) for spec in specs]
    assert kept["bytes"] - again["bytes"] == pytest.approx(planned[0] - planned[1], rel=AGREES)
    assert again["bytes"] < 0.3 * kept["bytes"]
