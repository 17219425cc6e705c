import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.loops import build, step_through, weights_of
from tests.train.sequences import make_rows, make_spec, write_tokens


class Still:
    """An engine whose gradients are all one, and whose steps change nothing."""

    def __init__(self, learner: Any) -> None:
        self._learner = learner

    def gradient(self, parameter: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(parameter)

    def weights(self) -> dict[str, torch.Tensor]:
        return weights_of(self._learner)


def measured(learner: Any) -> dict[str, dict[str, Any]]:
    """Records by module."""
    from loray.train.vitals import Vitals

    vitals, engine = Vitals(learner), Still(learner)
    vitals.look(engine)
    return {record["module"]: record for record in vitals.records(engine, step=5)}


def test_the_norm_of_the_update_needs_no_product() -> None:
    from loray.train.products import update_norm

    a, b = torch.randn(4, 30), torch.randn(20, 4)
    assert update_norm(a, b) == pytest.approx(float((b @ a).norm()), rel=1e-5)


def test_a_fresh_adapter_is_at_ratio_zero_and_counts_as_untrained(model: Path) -> None:
    from loray.errors import TrainingError
    from loray.train.learner import build_learner, check_trained
    from loray.train.vitals import trained_modules

    learner = build_learner(make_spec(model), device="cpu")
    assert trained_modules(learner, weights_of(learner)) == []
    with pytest.raises(TrainingError, match="B is as it began"):
        check_trained(learner, weights_of(learner))
    layer = learner.get_submodule("base_model.model.model.layers.1.mlp.up_proj")
    layer.lora_B["default"].weight.data[0, 0] = 1.0
    assert trained_modules(learner, weights_of(learner)) == ["model.layers.1.mlp.up_proj"]
    check_trained(learner, weights_of(learner))


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_the_ratio_is_that_of_the_whole_matrices(model: Path, quantization: str) -> None:
    """Against BA and W0 made in full, from 4-bit weights too."""
    from loray.train.learner import build_learner

    learner = build_learner(make_spec(model, base_model__quantization=quantization), device="cpu")
    plain = build_learner(make_spec(model, base_model__quantization="none"), device="cpu")
    for name, parameter in learner.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    records = measured(learner)
    assert len(records) == 14
    record = records["model.layers.1.mlp.up_proj"]
    layer = learner.get_submodule("base_model.model.model.layers.1.mlp.up_proj")
    update = layer.lora_B["default"].weight @ layer.lora_A["default"].weight * 2.0  # alpha / rank
    whole = plain.get_submodule("base_model.model.model.layers.1.mlp.up_proj.base_layer").weight
    expected = float(update.detach().norm() / whole.norm())
    assert record["weight_norm_ratio"] == pytest.approx(expected, rel=0.02)
    assert record["update_ratio"] == 0.0
    assert record["grad_sparsity"] == 0.0
    assert record["grad_norm"] == pytest.approx(
        sum(p.numel() for p in (layer.lora_A["default"].weight, layer.lora_B["default"].weight))
        ** 0.5
    )


def test_singular_values_need_no_product_and_no_qr() -> None:
    """Against the product made in full, and against QR of both factors."""
    from loray.train.products import singular_values

    draw = torch.Generator().manual_seed(0)
    a = torch.randn(6, 40, generator=draw, dtype=torch.float64)
    b = torch.randn(30, 6, generator=draw, dtype=torch.float64)
    b = b * torch.logspace(0, -5, 6, dtype=torch.float64)
    found = singular_values(a, b)
    inner = torch.linalg.qr(b).R @ torch.linalg.qr(a.T).R.T
    for other in (torch.linalg.svdvals(b @ a)[:6], torch.linalg.svdvals(inner)):
        torch.testing.assert_close(found, other.flip(0), rtol=0, atol=1e-8 * float(other[0]))


def test_the_effective_rank_is_between_one_direction_and_all() -> None:
    from loray.train.products import effective_rank

    eye = torch.eye(8, dtype=torch.float32)
    assert effective_rank(eye[:4], 3.0 * eye[:, :4]) == pytest.approx(4.0)
    assert effective_rank(eye[:1].repeat(4, 1), torch.ones(8, 4)) == pytest.approx(1.0)
    two = torch.diag(torch.tensor([3.0, 1.0, 0.0, 0.0]))  # shares 3/4 and 1/4
    assert effective_rank(torch.eye(4), two) == pytest.approx(4 / 3**0.75)
    assert effective_rank(torch.eye(4), torch.zeros(4, 4)) == 0.0
    assert math.isnan(effective_rank(torch.eye(4), torch.full((4, 4), torch.nan)))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("strategy", "dtype"),
    [
        ("plain", "float32"),
        pytest.param("plain", "bfloat16", marks=pytest.mark.slow),
        pytest.param("deepspeed", "float32", marks=pytest.mark.slow),
    ],
)
def test_the_update_ratio_is_that_of_the_whole_matrices_before_and_after(
    model: Path, tmp_path: Path, strategy: str, dtype: str
) -> None:
    from loray.train.vitals import Vitals

    spec = make_spec(
        model,
        base_model__quantization="none",
        base_model__dtype=dtype,
        train__strategy={"kind": strategy},
        method={"kind": "lora", "rank": 4, "alpha": 8, "rslora": True},
    )
    tokens = write_tokens(tmp_path, make_rows(16))
    looped, module = build(spec), "model.layers.1.self_attn.q_proj"
    step_through(looped, spec, tokens, range(3))
    vitals = Vitals(looped.learner)

    def update() -> torch.Tensor:
        weights = looped.engine.weights()
        a, b = (weights[f"weight/model.{module}.lora_{f}.default.weight"].double() for f in "AB")
        return b @ a * (8 / 4**0.5)

    before = update()
    step_through(looped, spec, tokens, range(3, 4), look=lambda: vitals.look(looped.engine))
    records = {record["module"]: record for record in vitals.records(looped.engine, step=4)}
    layer = looped.learner.get_submodule(f"base_model.model.{module}")
    norm = float(layer.get_base_layer().weight.double().norm())
    found = records[module]
    assert found["update_ratio"] == pytest.approx(float((update() - before).norm()) / norm)
    assert found["weight_norm_ratio"] == pytest.approx(float(before.norm()) / norm)
    shares = torch.linalg.svdvals(before)[:4]
    shares = shares / shares.sum()
    expected = float((-(shares * shares.log()).sum()).exp())
    assert found["effective_rank"] == pytest.approx(expected)
    assert 1.0 < expected < 4.0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_fresh_dora_is_at_ratio_zero(model: Path, quantization: str, dtype: str) -> None:
    from loray.train.learner import build_learner

    spec = make_spec(
        model,
        base_model__quantization=quantization,
        base_model__dtype=dtype,
        method__dora=True,
    )
    records = measured(build_learner(spec, device="cpu")).values()
    assert [r["weight_norm_ratio"] for r in records] == [0.0] * 14
    assert [r["update_ratio"] for r in records] == [0.0] * 14


def test_the_ratio_of_a_dora_is_that_of_the_merged_weights(model: Path) -> None:
    """Against what PEFT merges; the magnitudes are part of the gradient, too."""
    from loray.train.learner import build_learner

    spec = make_spec(model, base_model__quantization="none", method__dora=True)
    learner = build_learner(spec, device="cpu")
    for name, parameter in learner.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
        if "magnitude" in name:
            parameter.data *= 1 + torch.randn_like(parameter) / 5
    module = "model.layers.1.mlp.up_proj"
    record = measured(learner)[module]
    layer = learner.get_submodule(f"base_model.model.{module}")
    factors = (layer.lora_A, layer.lora_B, layer.lora_magnitude_vector)
    numbers = sum(part["default"].weight.numel() for part in factors)
    assert record["grad_norm"] == pytest.approx(numbers**0.5)
    before = layer.get_base_layer().weight.detach().clone()
    after = learner.merge_and_unload().get_submodule(module).weight.detach()
    wanted = float((after - before).norm() / before.norm())
    assert record["weight_norm_ratio"] == pytest.approx(wanted, rel=1e-5)
    assert wanted > 0.1


@pytest.mark.usefixtures("alone")
def test_the_update_ratio_of_a_dora_is_that_of_the_merged_weights(
    model: Path, tmp_path: Path
) -> None:
    import copy

    from loray.train.vitals import Vitals

    spec = make_spec(
        model, base_model__quantization="none", method__dora=True, train__strategy={"kind": "plain"}
    )
    tokens = write_tokens(tmp_path, make_rows(16))
    looped, module = build(spec), "model.layers.1.self_attn.q_proj"
    step_through(looped, spec, tokens, range(3))

    def merged() -> torch.Tensor:
        twin = copy.deepcopy(looped.learner).merge_and_unload()
        return twin.get_submodule(module).weight.detach().double()

    base = looped.learner.get_submodule(f"base_model.model.{module}").get_base_layer().weight
    vitals, before = Vitals(looped.learner), merged()
    step_through(looped, spec, tokens, range(3, 4), look=lambda: vitals.look(looped.engine))
    records = {record["module"]: record for record in vitals.records(looped.engine, step=4)}
    wanted = float((merged() - before).norm() / base.double().norm())
    assert records[module]["update_ratio"] == pytest.approx(wanted, rel=1e-3)


def test_pissa_counts_as_untrained_until_it_leaves_where_it_began(model: Path) -> None:
    """Its ratio is that of what it changed, over the weights as they were."""
    from loray.errors import TrainingError
    from loray.train.learner import build_learner, check_trained

    spec = make_spec(model, base_model__quantization="none", method__init="pissa")
    learner = build_learner(spec, device="cpu")
    with pytest.raises(TrainingError, match="B is as it began"):
        check_trained(learner, weights_of(learner))
    assert max(record["weight_norm_ratio"] for record in measured(learner).values()) < 1e-6
    module = "model.layers.1.mlp.up_proj"
    layer = learner.get_submodule(f"base_model.model.{module}")
    layer.lora_B["default"].weight.data += 0.01
    check_trained(learner, weights_of(learner))
    record = measured(learner)[module]
    plain = build_learner(make_spec(model, base_model__quantization="none"), device="cpu")
    before = plain.get_submodule(f"base_model.model.{module}").base_layer.weight
    after = learner.merge_and_unload().get_submodule(module).weight
    wanted = float((after - before).detach().norm() / before.norm())
    assert record["weight_norm_ratio"] == pytest.approx(wanted, rel=1e-4)
