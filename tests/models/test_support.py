"""What loray says of a `config.json` that it is given, and why."""

from typing import Any

import pytest

from loray.errors import UnsupportedError
from loray.models.support import TESTED, check_supported, fixed_positions, support_of


@pytest.mark.parametrize("kind", TESTED)
def test_a_tested_type_can_be_trained_and_served(kind: str) -> None:
    found = support_of({"model_type": kind})
    assert (found.trainable, found.servable, found.is_tested) == (True, True, True)
    assert found.reasons == ()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "experts": ({"model_type": "mixtral", "num_local_experts": 8}, "experts"),
    "many experts": ({"model_type": "qwen3_moe", "num_experts": 128}, "experts"),
    "MLA": ({"model_type": "deepseek_v3", "kv_lora_rank": 512}, "MLA"),
    "falcon": ({"model_type": "falcon"}, "reaches across packed rows"),
    "gpt2": ({"model_type": "gpt2"}, "Conv1D"),
    "vision": ({"model_type": "gemma3", "text_config": {}}, "gemma3_text"),
    "another vision": ({"model_type": "llava", "vision_config": {}}, "images or sound"),
    "encoder": ({"model_type": "t5", "is_encoder_decoder": True}, "encoder"),
    "state space": ({"model_type": "mamba2", "ssm_cfg": {}}, "keep keys"),
    "linear layers": (
        {"model_type": "qwen3_next", "layer_types": ["linear_attention", "full_attention"]},
        r"keep keys of every position \(linear_attention\)",
    ),
    "chunks": ({"model_type": "x", "layer_types": ["chunked_attention"]}, "chunked_attention"),
    "both directions": (
        {"model_type": "gemma3_text", "use_bidirectional_attention": True},
        "looks ahead",
    ),
    "code of its own": ({"model_type": "chatglm", "auto_map": {}}, "trust_remote_code"),
    "windows that are ignored": (
        {"model_type": "mistral", "layer_types": ["sliding_attention", "full_attention"]},
        "all layers alike",
    ),
    "GPTQ": (
        {"model_type": "llama", "quantization_config": {"quant_method": "gptq", "bits": 4}},
        r"stored quantized \(gptq\)",
    ),
    "no type": ({}, "names no model_type"),
    "a type that is no text": ({"model_type": 3}, "names no model_type"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wrong_is_refused_with_the_reason(name: str) -> None:
    config, reason = REFUSED[name]
    found = support_of(config)
    assert not found.trainable
    assert not found.servable
    assert not found.is_tested
    with pytest.raises(UnsupportedError, match=reason):
        check_supported(config)


def test_four_bits_of_bitsandbytes_are_read_as_they_are() -> None:
    stored = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    assert support_of({"model_type": "llama", "quantization_config": stored}).is_tested


@pytest.mark.parametrize("value", ["8", None, [], {}])
def test_odd_values_are_no_fault_of_the_type(value: Any) -> None:
    assert support_of({"model_type": "llama", "num_experts": value, "layer_types": None}).trainable
    assert fixed_positions({"model_type": "llama", "rope_scaling": value}) is None


def test_an_unknown_type_is_to_be_verified() -> None:
    found = check_supported({"model_type": "starcoder2"})
    assert (found.trainable, found.servable, found.is_tested) == (True, True, False)
    assert "not in the tested list" in found.reasons[0]
    assert "random small copy" in found.reasons[0]


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, None),
        ({"rope_scaling": None}, None),
        ({"rope_scaling": {"type": "dynamic", "factor": 2}, "max_position_embeddings": 64}, 64),
        (
            {
                "model_type": "phi3",
                "rope_scaling": {"type": "su"},
                "original_max_position_embeddings": 4096,
                "max_position_embeddings": 131072,
            },
            4096,
        ),
        (
            {
                "rope_parameters": {
                    "full_attention": {
                        "rope_type": "longrope",
                        "original_max_position_embeddings": 9,
                    },
                    "sliding_attention": {"rope_type": "default"},
                }
            },
            9,
        ),
        ({"model_type": "qwen2", "rope_scaling": {"type": "yarn", "factor": 4}}, None),
    ],
)
def test_rotary_embeddings_that_depend_on_the_batch_have_a_limit(
    config: dict[str, Any], positions: int | None
) -> None:
    assert fixed_positions(config) == positions
