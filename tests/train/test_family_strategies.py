"""Families whose layers or logits are unlike Llama's learn the same under every strategy."""

from pathlib import Path

import pytest
import torch

from loray.spec.run import RunSpec
from tests.families import save
from tests.train.group import STEPS, Job, Trained, train_all
from tests.train.sequences import make_rows, make_spec, pack, write_tokens

pytestmark = pytest.mark.workers
STRATEGIES = {
    "fsdp": {"kind": "fsdp"},
    "pipeline": {"kind": "pipeline"},
    "zero-3": {"kind": "deepspeed", "zero_stage": 3},
    "plain": {"kind": "plain"},
}
CELLS = [
    ("granite", "none", ("fsdp", "pipeline", "zero-3")),
    ("gemma2", "nf4", ("fsdp",)),
    ("gemma3_text", "nf4", ("zero-3",)),
    ("phi3", "nf4", ("pipeline",)),
    ("cohere2", "none", ("pipeline",)),
]
"""Family, quantization and strategies; the plain one is trained of each."""
PAIRS = [(f, q, s) for f, q, strategies in CELLS for s in strategies]


def spec_of(model: Path, quantization: str, strategy: str) -> RunSpec:
    return make_spec(
        model,
        base_model__quantization=quantization,
        train__strategy=STRATEGIES[strategy],
        train__steps=STEPS["float32"],
        train__batch={"global_size": 4, "micro_size": 1},
        resources={"workers": 2},
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Trained]:
    folder = tmp_path_factory.mktemp("families")
    tokens = write_tokens(folder, pack(make_rows(40), per_sequence=2))
    bases = {name: save(name, model, folder / name) for name in {cell[0] for cell in CELLS}}
    jobs = [
        Job(f"{family}-{quantization}-{strategy}", spec_of(bases[family], quantization, strategy))
        for family, quantization, strategies in CELLS
        for strategy in ("plain", *strategies)
    ]
    return train_all(jobs, tokens, folder)


@pytest.mark.parametrize(("family", "quantization", "strategy"), PAIRS)
def test_a_strategy_has_the_loss_curve_of_the_plain_one(
    trained: dict[str, Trained], family: str, quantization: str, strategy: str
) -> None:
    found = trained[f"{family}-{quantization}-{strategy}"]
    plain = trained[f"{family}-{quantization}-plain"]
    assert len(found.losses) == STEPS["float32"]
    assert found.losses[-1] < found.losses[0] - 0.05
    assert found.losses == pytest.approx(plain.losses, rel=2e-5)
    assert found.norms == pytest.approx(plain.norms, rel=2e-4)
    for name, tensor in found.learned.items():
        torch.testing.assert_close(tensor, plain.learned[name], rtol=0, atol=2e-4)
