from pathlib import Path

import pytest
import torch

from tests.train.loops import weights_of
from tests.train.sequences import make_spec


def test_the_norm_of_the_update_needs_no_product() -> None:
    from loray.train.vitals import update_norm

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


class Still:
    """An engine whose gradients are all one."""

    def gradient(self, parameter: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(parameter)

    def full(self, parameter: torch.Tensor) -> torch.Tensor:
        return parameter.detach()


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_the_ratio_is_that_of_the_whole_matrices(model: Path, quantization: str) -> None:
    """Against BA and W0 made in full, from 4-bit weights too."""
    from loray.train.learner import build_learner
    from loray.train.vitals import Vitals

    learner = build_learner(make_spec(model, base_model__quantization=quantization), device="cpu")
    plain = build_learner(make_spec(model, base_model__quantization="none"), device="cpu")
    for name, parameter in learner.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    records = Vitals(learner).measure(Still(), step=5)
    assert len(records) == 14
    by_name = {r["module"]: r for r in records}
    record = by_name["model.layers.1.mlp.up_proj"]
    layer = learner.get_submodule("base_model.model.model.layers.1.mlp.up_proj")
    update = layer.lora_B["default"].weight @ layer.lora_A["default"].weight * 2.0  # alpha / rank
    whole = plain.get_submodule("base_model.model.model.layers.1.mlp.up_proj.base_layer").weight
    expected = float(update.detach().norm() / whole.norm())
    assert record["weight_norm_ratio"] == pytest.approx(expected, rel=0.02)
    assert record["grad_sparsity"] == 0.0
    assert record["grad_norm"] == pytest.approx(
        sum(p.numel() for p in (layer.lora_A["default"].weight, layer.lora_B["default"].weight))
        ** 0.5
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_fresh_dora_is_at_ratio_zero(model: Path, quantization: str, dtype: str) -> None:
    from loray.train.learner import build_learner
    from loray.train.vitals import Vitals

    spec = make_spec(
        model,
        base_model__quantization=quantization,
        base_model__dtype=dtype,
        method__dora=True,
    )
    records = Vitals(build_learner(spec, device="cpu")).measure(Still(), step=1)
    assert [r["weight_norm_ratio"] for r in records] == [0.0] * 14


def test_the_ratio_of_a_dora_is_that_of_the_merged_weights(model: Path) -> None:
    """Against what PEFT merges; the magnitudes are part of the gradient, too."""
    from loray.train.learner import build_learner
    from loray.train.vitals import Vitals

    spec = make_spec(model, base_model__quantization="none", method__dora=True)
    learner = build_learner(spec, device="cpu")
    for name, parameter in learner.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
        if "magnitude" in name:
            parameter.data *= 1 + torch.randn_like(parameter) / 5
    module = "model.layers.1.mlp.up_proj"
    (record,) = (r for r in Vitals(learner).measure(Still(), step=5) if r["module"] == module)
    layer = learner.get_submodule(f"base_model.model.{module}")
    factors = (layer.lora_A, layer.lora_B, layer.lora_magnitude_vector)
    numbers = sum(part["default"].weight.numel() for part in factors)
    assert record["grad_norm"] == pytest.approx(numbers**0.5)
    before = layer.get_base_layer().weight.detach().clone()
    after = learner.merge_and_unload().get_submodule(module).weight.detach()
    wanted = float((after - before).norm() / before.norm())
    assert record["weight_norm_ratio"] == pytest.approx(wanted, rel=1e-5)
    assert wanted > 0.1


def test_pissa_counts_as_untrained_until_it_leaves_where_it_began(model: Path) -> None:
    """Its ratio is that of what it changed, over the weights as they were."""
    from loray.errors import TrainingError
    from loray.train.learner import build_learner, check_trained
    from loray.train.vitals import Vitals

    spec = make_spec(model, base_model__quantization="none", method__init="pissa")
    learner = build_learner(spec, device="cpu")
    with pytest.raises(TrainingError, match="B is as it began"):
        check_trained(learner, weights_of(learner))
    fresh = Vitals(learner).measure(Still(), step=1)
    assert max(record["weight_norm_ratio"] for record in fresh) < 1e-6
    module = "model.layers.1.mlp.up_proj"
    layer = learner.get_submodule(f"base_model.model.{module}")
    layer.lora_B["default"].weight.data += 0.01
    check_trained(learner, weights_of(learner))
    (record,) = (r for r in Vitals(learner).measure(Still(), step=5) if r["module"] == module)
    plain = build_learner(make_spec(model, base_model__quantization="none"), device="cpu")
    before = plain.get_submodule(f"base_model.model.{module}").base_layer.weight
    after = learner.merge_and_unload().get_submodule(module).weight
    wanted = float((after - before).detach().norm() / before.norm())
    assert record["weight_norm_ratio"] == pytest.approx(wanted, rel=1e-4)
