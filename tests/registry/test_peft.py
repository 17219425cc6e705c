"""Adapters between the registry and the real PEFT, in both directions."""

from pathlib import Path
from typing import Any

import pytest

from loray.models.adapter_config import parse_config
from loray.models.adapter_files import check_adapter_folder
from loray.registry import Registry
from tests.registry.versions import BASE_DIGEST

pytestmark = pytest.mark.slow

ATTENTION = ["q_proj", "v_proj"]
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": ATTENTION},
    "all_linear": {"target_modules": "all-linear"},
    "causal": {"target_modules": ATTENTION, "task_type": "CAUSAL_LM", "lora_dropout": 0.1},
    "rslora": {"target_modules": ATTENTION, "use_rslora": True},
    "dora": {"target_modules": ATTENTION, "use_dora": True},
    "patterns": {
        "target_modules": [*ATTENTION, "up_proj"],
        "rank_pattern": {"model.layers.0.self_attn.q_proj": 2, "v_proj": 3, "^up_proj": 5},
        "alpha_pattern": {"layers.1.mlp.up_proj": 32, "^model.layers.0.self_attn.q_proj": 1},
    },
    "one_layer": {"target_modules": ATTENTION, "layers_to_transform": [1]},
    "excluded": {"target_modules": "all-linear", "exclude_modules": ["down_proj", "k_proj"]},
    "whole_names": {"target_modules": ["model.layers.0.self_attn.q_proj", "layers.1.mlp.up_proj"]},
    "gaussian": {"target_modules": ATTENTION, "init_lora_weights": "gaussian"},
}


def tiny_llama() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32,
            num_hidden_layers=2,
            vocab_size=64,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=48,
        )
    ).eval()


def adapted_llama(variant: str) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=8, **VARIANTS[variant])
    model = get_peft_model(tiny_llama(), config).eval()
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights)
    return model


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.arange(48).reshape(3, 16)).logits


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_adapter_of_peft_comes_in_and_an_exported_one_loads_in_plain_peft(
    registry: Registry, tmp_path: Path, variant: str
) -> None:
    import torch
    from peft import PeftModel

    model = adapted_llama(variant)
    model.save_pretrained(tmp_path / "made")
    registry.import_folder(
        "guest", tmp_path / "made", base_model="models/tiny", base_digest=BASE_DIGEST
    )
    folder = registry.export("guest@1", tmp_path / "out")
    again = PeftModel.from_pretrained(tiny_llama(), folder).eval()
    wanted = logits(model)
    assert torch.equal(logits(again), wanted)
    assert not torch.allclose(logits(tiny_llama()), wanted, atol=1e-2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_targets_ranks_and_scaling_are_those_of_peft(tmp_path: Path, variant: str) -> None:
    model = adapted_llama(variant)
    model.save_pretrained(tmp_path / "made")
    config = check_adapter_folder(tmp_path / "made")
    layers = lora_layers(model)
    linear = [n for n, m in tiny_llama().named_modules() if m.__class__.__name__ == "Linear"]
    assert {name for name in linear if config.is_target(name)} == set(layers)
    for name, layer in layers.items():
        assert config.rank(name) == layer.r["default"]
        assert config.scaling(name) == pytest.approx(layer.scaling["default"], rel=1e-12)


@pytest.mark.parametrize("rank", [2, None])
@pytest.mark.parametrize("variant", sorted(VARIANTS.keys() - {"dora"}))
def test_a_cut_version_is_in_plain_peft_the_best_adapter_of_its_rank(
    registry: Registry, tmp_path: Path, variant: str, rank: int | None
) -> None:
    """Against torch's SVD of the whole updates that PEFT itself computes."""
    import torch
    from peft import PeftModel

    from loray.registry.truncate import truncate_version

    model = adapted_llama(variant)
    model.save_pretrained(tmp_path / "made")
    parent = registry.import_folder(
        "guest", tmp_path / "made", base_model="models/tiny", base_digest=BASE_DIGEST
    )
    made = truncate_version(registry, parent, rank=rank, keep=0.8)
    folder = registry.export(made.version.ref, tmp_path / "out")
    cut = PeftModel.from_pretrained(tiny_llama(), folder).eval()
    told = {module.module: module for module in made.truncation.modules}
    error = 0.0
    before, after = lora_layers(model), lora_layers(cut)
    assert before.keys() == after.keys() == told.keys()
    for name, layer in before.items():
        whole = layer.get_delta_weight("default").detach().double()
        left, values, right = torch.linalg.svd(whole, full_matrices=False)
        kept = after[name].r["default"]
        assert kept == told[name].rank <= layer.r["default"]
        best = left[:, :kept] * values[:kept] @ right[:kept]
        found = after[name].get_delta_weight("default").detach().double()
        assert torch.allclose(found, best, atol=1e-5 * float(values[0]))
        error += float((found - whole).norm()) ** 2
        layer.base_layer.weight.data += best.float()
    total = sum(module.norm**2 for module in told.values()) ** 0.5
    assert error**0.5 / total == pytest.approx(made.truncation.relative_error, rel=1e-4)
    with model.disable_adapter():  # the base, with the best updates written into its weights
        assert torch.allclose(logits(cut), logits(model), atol=1e-4)


def lora_layers(model: Any) -> dict[str, Any]:
    return {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if hasattr(module, "lora_A")
    }


def test_the_form_has_every_key_that_peft_writes_and_no_other(tmp_path: Path) -> None:
    from peft import LoraConfig

    from loray.models.adapter_config import AdapterConfig

    LoraConfig(target_modules=["q_proj"]).save_pretrained(str(tmp_path))
    text = (tmp_path / "adapter_config.json").read_bytes()
    assert set(LoraConfig().to_dict()) == set(AdapterConfig.model_fields)
    assert parse_config(text).model_fields_set == set(AdapterConfig.model_fields)
