"""What is known of transformers' types without importing it, beside transformers itself."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassError

from loray.models.decoder_types import DECODER_TYPES, TESTED_TYPES
from loray.planner.base_config import config_faults
from loray.planner.base_shapes import expected
from loray.planner.configs import architecture_of
from tests.families import FAMILIES, config_of

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "intermediate_size": 128,
}
HEADS: dict[str, Any] = {**SIZES, "num_key_value_heads": 2, "head_dim": 16}
ODD: tuple[Any, ...] = (None, "x", -1, 0.5, 1, True, [], [1], {})
"""What no key of a config may be, or few."""
REFUSALS = (
    StrictDataclassError, ValueError, TypeError, ArithmeticError, AttributeError, LookupError,
)  # fmt: skip


@pytest.mark.parametrize("kind", DECODER_TYPES)
def test_types_have_the_class_and_the_heads_of_transformers(kind: str) -> None:
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = DECODER_TYPES[kind]
    assert MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind] == known.causal_lm
    config = AutoConfig.for_model(kind, **SIZES)
    assert not getattr(config, "sub_configs", None)
    if "query_key_value" not in known.linears and "num_key_value_heads" not in known.no_nulls:
        assert config.num_key_value_heads == (known.kv_heads or 6)
    size = getattr(config, "head_dim", None)
    assert (size or 16) == (known.head_size or 16)


@pytest.mark.parametrize("kind", TESTED_TYPES)
def test_what_transformers_refuses_of_a_config_is_a_fault(kind: str) -> None:
    from transformers import AutoConfig, PreTrainedConfig

    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    fields = {field.name for field in dataclasses.fields(AutoConfig.for_model(kind))} - common
    late = []
    for name in sorted(fields):
        for value in ODD:
            config = {**HEADS, "model_type": kind, name: value}
            try:
                AutoConfig.for_model(**config)
            except REFUSALS:  # which would come late
                if not list(config_faults(config, Path("base"))):
                    late.append((name, value))
    assert late == []


@pytest.mark.parametrize("name", FAMILIES)
def test_the_weights_of_a_tested_type_are_known_by_name_and_shape(name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config_of(name))
    config = model.config.to_dict()
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del wanted["lm_head.weight"]
    assert expected(architecture_of(config), config["model_type"]) == wanted
