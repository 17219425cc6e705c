"""What an adapter is attached to, and where that is refused."""

from pathlib import Path
from typing import Any

import pytest

from loray.errors import ModelError
from loray.spec.train import BaseModelSpec, LoraMethod


def attached(folder: Path, *, quantization: str = "none", **method: Any) -> Any:
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    base = load_base(BaseModelSpec(path=str(folder), quantization=quantization, dtype="float32"))
    return attach_adapter(base, LoraMethod(rank=4, **method))


def beside(model: Any) -> set[str]:
    """What learns but A and B, without the layers' numbers."""
    names = (name for name, p in model.named_parameters() if p.requires_grad)
    return {name.split("model.")[-1].partition("self_attn.")[2] or name for name in names} - {
        name.split("model.")[-1].partition("self_attn.")[2] or name
        for name, _ in model.named_parameters()
        if "lora_" in name
    }


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize(
    ("biases", "targets", "found"),
    [
        ("none", "attention", set()),
        ("targets", "attention", {f"{n}_proj.base_layer.bias" for n in "qkv"}),
        ("targets", ("v_proj", "o_proj"), {"v_proj.base_layer.bias"}),
        ("all", ("v_proj",), {"q_proj.bias", "k_proj.bias", "v_proj.base_layer.bias"}),
    ],
)
def test_the_biases_that_are_named_learn(
    biased_model_dir: Path, quantization: str, biases: str, targets: Any, found: set[str]
) -> None:
    model = attached(biased_model_dir, quantization=quantization, biases=biases, targets=targets)
    assert beside(model) == found


def test_biases_where_there_are_none_are_refused(
    tiny_model_dir: Path, biased_model_dir: Path
) -> None:
    with pytest.raises(ModelError, match=r"biases is all, but the base model has no bias there"):
        attached(tiny_model_dir, biases="all")
    with pytest.raises(ModelError, match=r"biases is targets, but the base model has no bias"):
        attached(biased_model_dir, biases="targets", targets="mlp")


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_modules_in_full_learn_in_the_type_of_computation(
    biased_model_dir: Path, quantization: str
) -> None:
    import torch

    model = attached(
        biased_model_dir, quantization=quantization, modules_to_save=("lm_head", "embed_tokens")
    )
    learned = {n: p for n, p in model.named_parameters() if p.requires_grad and "lora_" not in n}
    names = {name.removeprefix("base_model.model.") for name in learned}
    assert names == {
        "lm_head.modules_to_save.default.weight",
        "model.embed_tokens.modules_to_save.default.weight",
    }
    assert {p.dtype for p in learned.values()} == {torch.float32}


def test_modules_in_full_are_refused_over_a_tied_base(tiny_model_dir: Path) -> None:
    with pytest.raises(ModelError, match="are one matrix"):
        attached(tiny_model_dir, modules_to_save=("lm_head",))
