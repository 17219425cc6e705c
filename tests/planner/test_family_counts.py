"""What the planner counts of every family against what transformers and PEFT make."""

from typing import Any

import pytest

from loray.planner.architecture import Architecture
from loray.planner.configs import architecture_of
from loray.planner.parameters import count_base, count_method, targets_of
from loray.spec.train import LoraMethod
from tests.families import FAMILIES, NAMES, ONE_EACH, SHAPE, config_of

pytestmark = pytest.mark.filterwarnings("default")  # PEFT uses a name that transformers retires

ODD: dict[str, Any] = {
    "hidden_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "intermediate_size": 200,
    "vocab_size": 301,
}
"""Sizes none of which follows from another."""
ODD_FORMS: dict[str, dict[str, Any]] = {
    "gemma3_text": {"layer_types": ["sliding_attention"] * 2 + ["full_attention"]},
    "cohere2": {"layer_types": ["sliding_attention"] * 2 + ["full_attention"]},
    "smollm3": {"no_rope_layers": [1, 0, 1], "mlp_bias": True, "attention_bias": True},
    "smollm3, windows": {"no_rope_layers": [1, 0, 1]},
    "granite": {"mlp_bias": True, "attention_bias": True},
    "gemma": {"attention_bias": True},
    "qwen3": {"attention_bias": True},
    "olmo2": {"attention_bias": True},
    "phi3, long": {"rope_parameters": None},
}


def empty(config: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def assert_counted(shape: Architecture, config: Any) -> None:
    from loray.models.adapter import attach_adapter

    model = empty(config)
    count = count_base(shape)
    assert sum(p.numel() for p in model.parameters()) == count.total
    linear = {
        name.rpartition(".")[2]: (module.in_features, module.out_features)
        for name, module in model.get_decoder().layers[0].named_modules()
        if hasattr(module, "in_features")
    }
    assert linear == shape.linear_shapes
    assert count.linear == shape.layers * sum(i * o for i, o in linear.values())
    for targets in ("attention", "mlp", "all-linear"):
        method = LoraMethod(rank=4, targets=targets, dora=targets == "mlp")
        adapted = attach_adapter(empty(config), LoraMethod(rank=4, targets=targets))
        learned = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
        magnitudes = sum(linear[name][1] for name in targets_of(shape, method))
        wanted = learned + (shape.layers * magnitudes if method.dora else 0)
        assert count_method(shape, method) == wanted
        names = [n for n, p in adapted.named_parameters() if "lora_A" in n]
        assert sorted(names) == sorted(
            f"base_model.model.{shape.module_name(layer, name)}.lora_A.default.weight"
            for layer in range(shape.layers)
            for name in targets_of(shape, method)
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_of_a_family_are_counted_to_the_unit(name: str) -> None:
    config = config_of(name, **ODD | ODD_FORMS.get(name, {}))
    assert_counted(architecture_of(config.to_dict()), config)


@pytest.mark.parametrize("name", ONE_EACH)
def test_what_a_config_leaves_out_is_what_transformers_takes(name: str) -> None:
    from transformers import AutoConfig

    kind, _ = FAMILIES[name]
    few = {
        key: SHAPE[key]
        for key in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size")
    }
    given = {"model_type": kind, **few, "num_attention_heads": 16}
    made = {k: v for k, v in given.items() if k != "model_type"}
    made["pad_token_id"] = None  # theirs are beyond so small a vocabulary
    if kind == "qwen2":  # takes 32 heads of keys by itself, which fit no 16 of queries
        given["num_key_value_heads"] = made["num_key_value_heads"] = 16
    if kind == "qwen3":
        given["num_key_value_heads"] = made["num_key_value_heads"] = None
    config = AutoConfig.for_model(kind, **made)
    model = empty(config)
    assert sum(p.numel() for p in model.parameters()) == count_base(architecture_of(given)).total
    assert config.tie_word_embeddings == architecture_of(given).is_tied


@pytest.mark.parametrize("name", ONE_EACH)
def test_whether_logits_and_attention_are_capped_is_read_off_the_config(name: str) -> None:
    kind, _ = FAMILIES[name]
    shape = architecture_of(config_of(name).to_dict())
    assert (shape.has_logit_cap, shape.is_eager) == (kind == "gemma2", kind == "gemma2")
    assert empty(config_of(name)).config._attn_implementation == (
        "eager" if shape.is_eager else "sdpa"
    )
