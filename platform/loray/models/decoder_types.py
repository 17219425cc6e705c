"""The types of base models that transformers builds as decoders that loray can adapt.

`model_type` alone decides which class transformers builds, whatever `architectures` says. What a
config leaves out that class fills in; here is what it takes for the heads, which the shapes of
weights follow from. Every other type is refused before anything starts: where a type is a model of
several parts, its class ignores the sizes of the config and takes its own, of a giant.
Source: transformers 5.23, `models/<type>/configuration_<type>.py`; a test compares them.
"""

from collections.abc import Mapping
from typing import NamedTuple

_GATED = ("gate_proj", "up_proj", "down_proj")
_QKVO = ("q_proj", "k_proj", "v_proj", "o_proj")


class DecoderType(NamedTuple):
    """What transformers makes of a type."""

    causal_lm: str
    """Its class with an output projection."""
    kv_heads: int | None = None
    """`num_key_value_heads` where a config has none; None for as many as heads."""
    head_size: int | None = None
    """`head_dim` where a config has none; None for the hidden size over the heads."""
    no_nulls: tuple[str, ...] = ()
    """Keys of these that may be absent, but not null."""
    linears: tuple[str, ...] = (*_QKVO, *_GATED)
    """Last parts of the names of a layer's linear layers."""


_KV, _HEAD = "num_key_value_heads", "head_dim"
_BOTH = (_KV, _HEAD)
_UP_DOWN = (*_QKVO, "up_proj", "down_proj")
_FUSED = (*_QKVO, "gate_up_proj", "down_proj")
_NEOX = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")
TESTED_TYPES: Mapping[str, DecoderType] = {
    "llama": DecoderType("LlamaForCausalLM"),
    "mistral": DecoderType("MistralForCausalLM", 8, None, (_KV,)),
    "qwen2": DecoderType("Qwen2ForCausalLM", 32),
    "qwen3": DecoderType("Qwen3ForCausalLM", 32, 128, (_HEAD,)),
    "gemma": DecoderType("GemmaForCausalLM", 16, 256, _BOTH),
    "gemma2": DecoderType("Gemma2ForCausalLM", 4, 256, _BOTH),
    "gemma3_text": DecoderType("Gemma3ForCausalLM", 4, 256, _BOTH),
    "phi3": DecoderType(
        "Phi3ForCausalLM", linears=("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
    ),
    "olmo2": DecoderType("Olmo2ForCausalLM"),
    "smollm3": DecoderType("SmolLM3ForCausalLM", 4),
    "granite": DecoderType("GraniteForCausalLM"),
    "cohere": DecoderType("CohereForCausalLM"),
    "cohere2": DecoderType("Cohere2ForCausalLM"),
}
"""Tested against plain transformers and PEFT in training and serving."""
TRIED_TYPES: Mapping[str, DecoderType] = {
    "apertus": DecoderType("ApertusForCausalLM", linears=_UP_DOWN),
    "arcee": DecoderType("ArceeForCausalLM", linears=_UP_DOWN),
    "bitnet": DecoderType("BitNetForCausalLM", 5),
    "diffllama": DecoderType("DiffLlamaForCausalLM"),
    "ernie4_5": DecoderType("Ernie4_5ForCausalLM", 2, 128),
    "exaone4": DecoderType("Exaone4ForCausalLM", 32, None, (_KV,)),
    "glm": DecoderType("GlmForCausalLM", 2, 128, _BOTH, linears=_FUSED),
    "glm4": DecoderType("Glm4ForCausalLM", 2, 128, _BOTH, linears=_FUSED),
    "gpt_neox": DecoderType("GPTNeoXForCausalLM", linears=_NEOX),
    "gpt_neox_japanese": DecoderType("GPTNeoXJapaneseForCausalLM", linears=_NEOX),
    "granite_swa": DecoderType("GraniteSWAForCausalLM", 4),
    "helium": DecoderType("HeliumForCausalLM", 20, 128, _BOTH),
    "hunyuan_v1_dense": DecoderType("HunYuanDenseV1ForCausalLM"),
    "hyperclovax": DecoderType("HyperCLOVAXForCausalLM"),
    "internlm3": DecoderType("LlamaForCausalLM", 2, 128),
    "iquestcoder": DecoderType("LlamaForCausalLM", 8, 128),
    "jais2": DecoderType("Jais2ForCausalLM", linears=_UP_DOWN),
    "ministral": DecoderType("MinistralForCausalLM", 8, None, (_KV,)),
    "ministral3": DecoderType("Ministral3ForCausalLM", 8, 128, _BOTH),
    "nanochat": DecoderType("NanoChatForCausalLM", linears=(*_QKVO, "fc1", "fc2")),
    "nemotron": DecoderType("NemotronForCausalLM", None, None, (_KV,), linears=_UP_DOWN),
    "olmo": DecoderType("OlmoForCausalLM"),
    "olmo3": DecoderType("Olmo3ForCausalLM"),
    "persimmon": DecoderType("PersimmonForCausalLM", linears=_NEOX),
    "phi": DecoderType(
        "PhiForCausalLM", linears=("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")
    ),
    "seed_oss": DecoderType("SeedOssForCausalLM", 8, 128),
    "stablelm": DecoderType("StableLmForCausalLM", 32, None, (_KV,)),
    "starcoder2": DecoderType(
        "Starcoder2ForCausalLM", 2, None, (_KV,), linears=(*_QKVO, "c_fc", "c_proj")
    ),
    "vaultgemma": DecoderType("VaultGemmaForCausalLM", 4, 256, _BOTH),
}
"""Taken if a small random copy computes in training and serving what it should. Of all others that
transformers has as causal language models the copy fails, or cannot be made."""
DECODER_TYPES: Mapping[str, DecoderType] = {**TESTED_TYPES, **TRIED_TYPES}
