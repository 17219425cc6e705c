"""8-bit moments: as AdamW to their precision, exact through a checkpoint, as small as planned."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from loray.planner.configs import read_architecture
from loray.planner.forms import EIGHT_BIT_MOMENT
from loray.planner.memory import count_learned, optimizer_bytes
from loray.spec.train import OptimizerSpec
from tests.train.sequences import make_rows, make_spec
from tests.train.test_loop import PLAIN, run

WIDE = {"kind": "lora", "rank": 64, "alpha": 64, "targets": ("q_proj", "o_proj", "up_proj")}
"""Factors of 4,096 numbers and more, with which 8 bits begin."""


def spec_of(model: Path, kind: str, **changes: Any) -> Any:
    optimizer = {"kind": kind, "learning_rate": 5e-3, "weight_decay": 0.1}
    return make_spec(
        model, train__strategy=PLAIN, train__optimizer=optimizer, method=WIDE, **changes
    )


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_8_bit_moments_learn_what_float32_ones_learn(model: Path, tmp_path: Path) -> None:
    losses = {
        kind: run(spec_of(model, kind, train__steps=20), make_rows(8), tmp_path)[0]
        for kind in ("adamw", "adamw_8bit")
    }
    fallen = losses["adamw"][0] - losses["adamw"][-1]
    assert fallen > 0.5
    assert losses["adamw_8bit"] == pytest.approx(losses["adamw"], abs=0.05 * fallen)
    assert losses["adamw_8bit"] != losses["adamw"]


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_of_8_bit_moments_resumes_bit_for_bit(
    model: Path, tmp_path: Path, dtype: str
) -> None:
    rows = make_rows(40)
    spec = spec_of(model, "adamw_8bit", base_model__dtype=dtype)
    whole = run(spec, rows, tmp_path)
    first = run(spec, rows, tmp_path, stop=4)
    assert sum(tensor.dtype == torch.uint8 for tensor in first[2].values()) == 2 * 12
    second = run(spec, rows, tmp_path, state=(4, first[2]))
    assert first[0] + second[0] == whole[0]
    assert all(torch.equal(tensor, second[1][name]) for name, tensor in whole[1].items())
    assert all(torch.equal(tensor, second[2][name]) for name, tensor in whole[2].items())


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_8_bit_moments_are_as_small_as_planned(model: Path, tmp_path: Path) -> None:
    spec = spec_of(model, "adamw_8bit")
    state = run(spec, make_rows(8), tmp_path, stop=1)[2]
    moments = sum(t.nbytes for name, t in state.items() if not name.startswith("weight/"))
    learned = count_learned(spec, read_architecture(spec.base_model))
    assert moments == learned * 2 * EIGHT_BIT_MOMENT == optimizer_bytes(spec, learned)


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_a_rollback_to_the_beginning_runs_as_a_fresh_run_does(model: Path, tmp_path: Path) -> None:
    from tests.train.loops import build, step_through
    from tests.train.sequences import write_tokens

    rows, spec = make_rows(8), spec_of(model, "adamw_8bit")
    fresh = run(spec, rows, tmp_path, stop=3)
    tokens = write_tokens(tmp_path, rows)
    looped = build(spec)
    beginning = looped.engine.weights()
    step_through(looped, spec, tokens, range(5))
    looped.engine.restore(beginning, steps_done=0)
    looped.losses.clear()
    step_through(looped, spec, tokens, range(3))
    assert looped.losses == fresh[0]
    found = looped.engine.state()
    assert all(torch.equal(tensor, found[name]) for name, tensor in fresh[2].items())


def step_of(kind: str, weight: torch.Tensor, *, device: str = "cpu") -> torch.Tensor:
    """What three steps make of a weight."""
    from loray.train.optimizer import adam_over

    spec = OptimizerSpec(kind=kind, learning_rate=1e-2, weight_decay=0.1)
    tensor = torch.nn.Parameter(weight.clone().to(device))
    adam = adam_over({"w": tensor}, spec)
    generator = torch.Generator().manual_seed(7)
    for _ in range(3):
        tensor.grad = torch.randn(weight.shape, generator=generator).to(device)
        adam.step()
    return tensor.detach().cpu()


@pytest.mark.parametrize("kind", ["adamw_8bit", "paged_adamw_8bit"])
def test_weights_too_small_for_8_bits_go_where_torch_moves_them(kind: str) -> None:
    weight = torch.randn(16, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a CPU has no pages, which the spec refuses
        found = step_of(kind, weight)
    assert torch.allclose(found, step_of("adamw", weight), atol=1e-6)
    assert not torch.allclose(found, weight, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["adamw_8bit", "paged_adamw_8bit"])
def test_moments_on_a_gpu_come_back_bit_for_bit(kind: str) -> None:
    from loray.train.moments import moments_of, set_moments
    from loray.train.optimizer import adam_over

    spec = OptimizerSpec(kind=kind, learning_rate=1e-2)
    start = torch.randn(512, 512)  # above the 100,000 numbers that pages begin with

    def steps(adam: Any, tensor: torch.Tensor, numbers: range) -> None:
        for number in numbers:
            generator = torch.Generator().manual_seed(number)
            tensor.grad = torch.randn(tensor.shape, generator=generator).cuda()
            adam.step()

    whole, first = (torch.nn.Parameter(start.cuda()) for _ in range(2))
    adam, half = adam_over({"w": whole}, spec), adam_over({"w": first}, spec)
    steps(adam, whole, range(6))
    steps(half, first, range(3))
    second = torch.nn.Parameter(first.detach().clone())
    resumed = adam_over({"w": second}, spec)
    set_moments(resumed, second, moments_of(half, first), steps_done=3)
    steps(resumed, second, range(3, 6))
    assert torch.equal(second, whole)
