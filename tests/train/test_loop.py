"""Two routes to the same numbers: batch or accumulation, packed or not, any ZeRO stage, resumed."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from loray.spec.run import RunSpec
from loray.spec.train import TrainSpec
from tests.train.loops import build, step_through
from tests.train.sequences import Row, make_rows, make_spec, pack, write_tokens

pytestmark = pytest.mark.slow  # numerics, seconds each: the second half of make test
TOLERANCE = 2e-5
"""Largest relative difference of losses, and absolute one of weights, between two routes."""


BF16_TOLERANCE = 2e-3
"""The same in bfloat16, where DeepSpeed adds up gradients in that type and the plain engine not."""
PLAIN = {"kind": "plain"}
FSDP = {"kind": "fsdp"}


def zero(stage: int) -> dict[str, Any]:
    return {"kind": "deepspeed", "zero_stage": stage}


def run(
    spec: RunSpec, rows: list[Row], folder: Path, *, stop: int | None = None, state: Any = None
) -> tuple[list[float], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Losses, learned tensors and engine state after `stop` steps (all when not given)."""
    from loray.train.learner import learned_tensors

    tokens = write_tokens(folder, rows)
    looped = build(spec, tokens)
    first, restored = state or (0, None)
    if restored is not None:
        looped.engine.restore(restored, steps_done=first)
    step_through(looped, spec, tokens, range(first, stop or spec.train.steps))
    learned = learned_tensors(looped.learner, looped.engine.weights(), spec.base_model)
    return looped.losses, learned, looped.engine.state()


def assert_same_run(one: Any, other: Any, *, tolerance: float = TOLERANCE) -> None:
    assert one[0] == pytest.approx(other[0], rel=tolerance)
    for name, tensor in one[1].items():
        torch.testing.assert_close(tensor, other[1][name], rtol=0, atol=tolerance)


@pytest.mark.usefixtures("alone")
def test_the_loss_falls_and_every_module_learns(model: Path, tmp_path: Path) -> None:
    losses, learned, _ = run(make_spec(model, train__steps=20), make_rows(8), tmp_path)
    assert losses[-1] < losses[0] - 0.1
    assert all(tensor.any() for name, tensor in learned.items() if "lora_B" in name)


@pytest.mark.usefixtures("alone")
def test_one_batch_and_four_accumulated_ones_agree(model: Path, tmp_path: Path) -> None:
    rows = make_rows(40)
    whole = run(make_spec(model, train__batch={"global_size": 8, "micro_size": 8}), rows, tmp_path)
    parts = run(make_spec(model, train__batch={"global_size": 8, "micro_size": 2}), rows, tmp_path)
    assert_same_run(whole, parts)


@pytest.mark.usefixtures("alone")
def test_packed_and_unpacked_rows_agree(model: Path, tmp_path: Path) -> None:
    """One epoch a step, so that both see the same rows in every step."""
    rows = make_rows(8)
    apart = run(make_spec(model, train__batch={"global_size": 8, "micro_size": 4}), rows, tmp_path)
    packs = pack(rows, per_sequence=4)
    together = run(
        make_spec(model, train__batch={"global_size": 2, "micro_size": 1}), packs, tmp_path
    )
    assert_same_run(apart, together)


@pytest.mark.usefixtures("alone")
def test_rows_attend_across_a_pack_when_positions_do_not_restart(
    model: Path, tmp_path: Path
) -> None:
    """The counter-proof: without restarting positions, packing changes the loss."""
    packs = pack(make_rows(8), per_sequence=4)
    crossed = [{**p, "positions": list(range(len(p["positions"])))} for p in packs]
    spec = make_spec(model, train__batch={"global_size": 2, "micro_size": 1})
    sound, wrong = (run(spec, rows, tmp_path, stop=1)[0][0] for rows in (packs, crossed))
    assert abs(sound - wrong) > 1e-4


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("strategy", "dtype", "tolerance"),
    [
        (zero(0), "float32", TOLERANCE),
        (zero(1), "float32", TOLERANCE),
        (zero(1), "bfloat16", BF16_TOLERANCE),
        (zero(2), "float32", TOLERANCE),
        (zero(2), "bfloat16", BF16_TOLERANCE),
        (zero(3), "float32", TOLERANCE),
        (FSDP, "float32", TOLERANCE),
        (FSDP, "bfloat16", BF16_TOLERANCE),
    ],
)
def test_every_strategy_agrees_with_the_plain_one(
    model: Path, tmp_path: Path, strategy: Any, dtype: str, tolerance: float
) -> None:
    rows = make_rows(40)
    one, other = (
        run(make_spec(model, train__strategy=kind, base_model__dtype=dtype), rows, tmp_path)
        for kind in (strategy, PLAIN)
    )
    assert_same_run(one, other, tolerance=tolerance)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("strategy", "dtype"),
    [
        (zero(0), "float32"),
        (zero(2), "float32"),
        (zero(2), "bfloat16"),
        (zero(3), "float32"),
        (zero(3), "bfloat16"),
        (FSDP, "float32"),
        (FSDP, "bfloat16"),
        (PLAIN, "float32"),
        (PLAIN, "bfloat16"),
    ],
)
def test_a_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does(
    model: Path, tmp_path: Path, strategy: Any, dtype: str
) -> None:
    rows = make_rows(40)
    spec = make_spec(model, train__strategy=strategy, method__dropout=0.1, base_model__dtype=dtype)
    whole = run(spec, rows, tmp_path)
    first = run(spec, rows, tmp_path, stop=5)
    second = run(spec, rows, tmp_path, state=(5, first[2]))
    assert first[0] + second[0] == whole[0]
    assert all(torch.equal(tensor, second[1][name]) for name, tensor in whole[1].items())


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("strategy", [PLAIN, FSDP, zero(2), zero(3)])
def test_what_no_gradient_reaches_has_a_state_to_be_saved(
    model: Path, tmp_path: Path, strategy: Any
) -> None:
    """Behind `gate_proj` the base multiplies with zero, so its adapter has no gradient at all."""
    cut = tmp_path / "model"
    shutil.copytree(model, cut)
    tensors = load_file(cut / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"].zero_()
    save_file(tensors, cut / "model.safetensors", metadata={"format": "pt"})
    targets = ("q_proj", "gate_proj")
    method = {"kind": "lora", "rank": 4, "targets": targets}
    spec = make_spec(cut, method=method, train__strategy=strategy, base_model__quantization="none")
    state = run(spec, make_rows(8), tmp_path, stop=2)[2]
    dead = [name for name in state if "layers.1.mlp.gate_proj.lora_B" in name]
    assert len(dead) == 3
    assert not any(state[name].any() for name in dead)


@pytest.mark.usefixtures("alone")
def test_gradient_checkpointing_changes_no_number(model: Path, tmp_path: Path) -> None:
    rows = make_rows(16)
    plain = run(make_spec(model), rows, tmp_path, stop=3)
    checkpointed = make_spec(model, train__gradient_checkpointing=True)
    assert_same_run(plain, run(checkpointed, rows, tmp_path, stop=3), tolerance=1e-6)


@pytest.mark.usefixtures("alone")
def test_full_training_moves_every_weight(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    spec = make_spec(model, method={"kind": "full"}, base_model__quantization="none")
    losses, learned, _ = run(spec, make_rows(16), tmp_path)
    before = load_file(model / "model.safetensors")
    assert losses[-1] < losses[0]
    assert all(not torch.equal(learned[name], tensor) for name, tensor in before.items())


@pytest.mark.usefixtures("alone")
def test_the_loss_is_that_of_transformers(model: Path, tmp_path: Path) -> None:
    """Answer-only projection against the whole logits of a plain forward pass."""
    from transformers import AutoModelForCausalLM

    rows = make_rows(4)
    spec = make_spec(
        model,
        base_model__quantization="none",
        train__batch={"global_size": 4, "micro_size": 4},
    )
    ours = run(spec, rows, tmp_path, stop=1)[0][0]
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    total = count = 0.0
    for row in rows:
        labels = torch.tensor([row["labels"]])
        targets = int((labels[:, 1:] != -100).sum())
        loss = plain(input_ids=torch.tensor([row["input_ids"]]), labels=labels).loss
        total, count = total + loss.item() * targets, count + targets
    assert ours == pytest.approx(total / count, rel=TOLERANCE)


def test_the_learning_rate_warms_up_and_decays() -> None:
    from loray.train.loop import learning_rate_at

    def curve(kind: str) -> list[float]:
        train = TrainSpec.model_validate(
            {
                "steps": 20,
                "optimizer": {"learning_rate": 1.0},
                "schedule": {"kind": kind, "warmup_steps": 4},
            }
        )
        return [learning_rate_at(step, train=train) for step in range(20)]

    for kind in ("cosine", "linear"):
        rates = curve(kind)
        assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
        assert all(a >= b for a, b in pairwise(rates[4:]))
        assert rates[-1] == pytest.approx(0.1)
    assert curve("constant")[4:] == [1.0] * 16
