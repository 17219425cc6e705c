"""PiSSA: what it begins with, what it leaves in the base, and the LoRA that it is saved as."""

from pathlib import Path
from typing import Any

import pytest
import torch

from loray.errors import ModelError
from loray.spec.train import BaseModelSpec, LoraMethod

IDS = torch.arange(20, 60)[None]
MODULE = "model.layers.1.mlp.down_proj"


def begun(folder: Path, *, seed: int = 0, dtype: str = "float32", **method: Any) -> Any:
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    base = load_base(BaseModelSpec(path=str(folder), quantization="none", dtype=dtype))
    torch.manual_seed(seed)
    return attach_adapter(base, LoraMethod(**{"rank": 4, "init": "pissa"} | method)).eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits.float()


def moved(model: Any) -> Any:
    """The model after its A and B went some way."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn(parameter.shape, generator=generator) / 10
    return model


@pytest.mark.parametrize("rslora", [False, True])
def test_it_begins_with_the_largest_singular_values_and_leaves_the_rest(
    tiny_model_dir: Path, rslora: bool
):
    """Against the exact decomposition, and against PEFT's own."""
    from peft import LoraConfig, get_peft_model

    from loray.models.load import load_base

    base = load_base(BaseModelSpec(path=str(tiny_model_dir), quantization="none", dtype="float32"))
    weight = base.get_submodule(MODULE).weight.detach().clone()
    layer = begun(tiny_model_dir, rslora=rslora).get_base_model().get_submodule(MODULE)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    product = layer.scaling["default"] * (b @ a).detach()
    rest = layer.base_layer.weight
    assert torch.allclose(rest + product, weight, atol=1e-6)
    least = torch.linalg.svdvals(weight)[4:].norm()  # Eckart and Young: no rank 4 leaves less
    assert float(rest.norm()) == pytest.approx(float(least), rel=1e-4)
    assert torch.allclose(a.norm(dim=1), b.norm(dim=0), rtol=1e-4)
    config = LoraConfig(
        r=4, lora_alpha=32, target_modules=[MODULE], init_lora_weights="pissa", use_rslora=rslora
    )
    theirs = get_peft_model(base, config).get_base_model().get_submodule(MODULE)
    assert float(theirs.base_layer.weight.norm()) == pytest.approx(float(rest.norm()), rel=1e-4)
    assert torch.allclose(theirs.lora_A["default"].weight.norm(dim=1), a.norm(dim=1), rtol=1e-2)


@pytest.mark.parametrize(("dtype", "off"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_a_fresh_one_computes_what_the_base_computes(tiny_model_dir: Path, dtype: str, off: float):
    from loray.models.load import load_base

    base = load_base(BaseModelSpec(path=str(tiny_model_dir), quantization="none", dtype=dtype))
    wanted = logits(base)
    found = logits(begun(tiny_model_dir, dtype=dtype))
    assert float((found - wanted).abs().max()) < off * float(wanted.abs().max())
    assert float((logits(moved(begun(tiny_model_dir, dtype=dtype))) - wanted).abs().max()) > off


@pytest.mark.parametrize(
    "method",
    [
        {},
        {"rslora": True},
        {"patterns": ({"modules": "q_proj", "rank": 2}, {"modules": "o_proj", "alpha": 5})},
        {"rslora": True, "patterns": ({"modules": "down_proj", "rank": 3, "alpha": 7},)},
    ],
    ids=["plain", "rsLoRA", "patterns", "rsLoRA and patterns"],
)  # fmt: skip
def test_the_lora_that_is_saved_does_over_the_base_what_was_trained(
    tiny_model_dir: Path, tmp_path: Path, method: dict[str, Any]
):
    from peft import PeftModel

    from loray.models.adapter import adapter_tensors, read_adapter, save_adapter, saved_form
    from loray.models.load import load_base

    trained = moved(begun(tiny_model_dir, **method))
    config, tensors = saved_form(trained, adapter_tensors(trained))
    save_adapter(config, tensors, tmp_path, base="base")
    assert read_adapter(tmp_path).config.max_rank == 8
    base = load_base(BaseModelSpec(path=str(tiny_model_dir), quantization="none", dtype="float32"))
    untrained = logits(base)
    plain = PeftModel.from_pretrained(base, tmp_path).eval()
    assert torch.allclose(logits(plain), logits(trained), atol=1e-3)
    assert not torch.allclose(logits(plain), untrained, atol=0.1)
    assert torch.allclose(logits(plain.merge_and_unload()), logits(trained), atol=1e-3)


def test_a_run_goes_on_where_its_checkpoint_began_though_the_decomposition_differs(
    tiny_model_dir: Path, tmp_path: Path
):
    from loray.models.adapter import (
        PREFIX,
        adapter_tensors,
        lora_layers,
        read_adapter,
        save_adapter,
        saved_form,
    )
    from loray.models.pissa import take_up

    first = moved(begun(tiny_model_dir))
    save_adapter(*saved_form(first, adapter_tensors(first)), tmp_path, base="base")
    tensors = read_adapter(tmp_path).tensors
    second = begun(tiny_model_dir, rank=4, alpha=32, seed=1)
    for _, layer in lora_layers(second):  # as another kind of device might have begun
        layer.principal_a.neg_()
        layer.principal_b.mul_(-1.1)
        layer.base_layer.weight.data -= (
            layer.scaling["default"] * 0.1 / 1.1 * (layer.principal_b @ layer.principal_a)
        )
    take_up(tensors, lora_layers(second), PREFIX)
    for _, layer in lora_layers(second):  # a run that is set back to its beginning starts there
        assert torch.equal(layer.lora_A["default"].weight, layer.principal_a)
        assert torch.equal(layer.lora_B["default"].weight, layer.principal_b)
    for mine, other in zip(first.parameters(), second.parameters(), strict=True):
        if mine.requires_grad:
            other.data.copy_(mine)
    assert torch.allclose(logits(second), logits(first), atol=1e-3)
    again = saved_form(second, adapter_tensors(second))[1]
    assert all(torch.equal(tensor, again[name]) for name, tensor in tensors.items())


def test_taking_up_what_one_began_with_changes_no_bit(tiny_model_dir: Path):
    from loray.models.adapter import adapter_tensors, lora_layers, saved_form
    from loray.models.adapter_tensors import PREFIX
    from loray.models.pissa import take_up

    model = begun(tiny_model_dir)
    before = model.get_base_model().get_submodule(MODULE).base_layer.weight
    take_up(saved_form(model, adapter_tensors(model))[1], lora_layers(model), PREFIX)
    assert model.get_base_model().get_submodule(MODULE).base_layer.weight is before


def test_a_rank_above_the_number_of_singular_values_is_refused(tiny_model_dir: Path):
    with pytest.raises(ModelError, match=r"has rank 500, but only \d+ singular values"):
        begun(tiny_model_dir, rank=500)
