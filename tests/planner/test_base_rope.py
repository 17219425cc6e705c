"""Rotary positions that transformers would ignore, or fail at, are faults; the others are used."""

import copy
from typing import Any

import pytest

from loray.planner.base_rope import rope_faults, rope_notes
from tests.families import SHAPE

LONG = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "factor": 8.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
BY_LAYER = {"full_attention": LINEAR, "sliding_attention": {"rope_type": "default"}}
SOUND: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("llama", {"rope_scaling": LINEAR}),
    "by its old name": ("llama", {"rope_scaling": {"type": "linear", "factor": 2}}),
    "both names": (
        "qwen2",
        {"rope_scaling": {"type": "dynamic", **LINEAR, "rope_type": "dynamic"}},
    ),
    "yarn": ("qwen3", {"rope_scaling": YARN}),
    "yarn of today": ("qwen2", {"rope_parameters": {**YARN, "rope_theta": 1e6}}),
    "yarn with more": ("mistral", {"rope_scaling": {**YARN, "beta_fast": 16, "mscale": None}}),
    "Llama 3": ("llama", {"rope_scaling": LLAMA3}),
    "Llama 3 for SmolLM": ("smollm3", {"rope_parameters": LLAMA3}),
    "Phi-3": (
        "phi3",
        {"rope_scaling": {"type": "su", **LONG, "original_max_position_embeddings": 4096}},
    ),
    "Phi-3 of today": (
        "phi3",
        {
            "rope_parameters": {"rope_type": "longrope", **LONG},
            "original_max_position_embeddings": 128,
        },
    ),
    "Gemma 3": ("gemma3_text", {"rope_scaling": LINEAR}),
    "Gemma 3 of today": ("gemma3_text", {"rope_parameters": BY_LAYER}),
    "the same twice": ("llama", {"rope_scaling": LINEAR, "rope_parameters": LINEAR}),
}
FALSE: dict[str, tuple[str, dict[str, Any], str]] = {
    "no type": ("llama", {"rope_scaling": {"factor": 8.0}}, "but no rope_type there"),
    "no type today": (
        "qwen3", {"rope_parameters": {"factor": 4.0, "rope_theta": 1e6}}, "but no rope_type there"
    ),
    "no type for Llama 3": (
        "llama", {"rope_scaling": {**LLAMA3, "rope_type": "default"}}, "such as llama3"
    ),
    "type null": ("llama", {"rope_scaling": {"type": None, "factor": 2.0}}, "the rope_type None"),
    "a type that is none": ("llama", {"rope_scaling": {**LINEAR, "rope_type": "ntk"}}, "'ntk'"),
    "mrope": ("qwen2", {"rope_scaling": {"type": "mrope", "mrope_section": [1]}}, "'mrope'"),
    "mrope as default": (
        "qwen2", {"rope_scaling": {"rope_type": "default", "mrope_section": [1]}}, "mrope_section"
    ),
    "two types": ("llama", {"rope_scaling": {**LINEAR, "type": "dynamic"}}, "beside rope_type"),
    "misspelled factor": ("llama", {"rope_scaling": {"type": "linear", "factr": 2}}, "factor None"),
    "factor in quotes": ("llama", {"rope_scaling": {**LINEAR, "factor": "8"}}, "factor '8'"),
    "factors in a list": ("llama", {"rope_scaling": {**LINEAR, "factor": [8.0]}}, "factor [8.0]"),
    "both, and different": (
        "llama", {"rope_scaling": LINEAR, "rope_parameters": {"rope_theta": 1e6}}, "they differ"
    ),
    "two thetas": (
        "llama", {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}}, "the same in both"
    ),
    "theta null": ("llama", {"rope_parameters": {"rope_theta": None}}, "rope_theta None"),
    "by layer": ("qwen3", {"rope_parameters": BY_LAYER}, "by kind of layer"),
    "by layer under the old name": ("gemma3_text", {"rope_scaling": BY_LAYER}, "by kind of layer"),
    "one for all of Gemma 3": ("gemma3_text", {"rope_parameters": LINEAR}, "full_attention and"),
    "Gemma 3 by the old name": (
        "gemma3_text", {"rope_scaling": {"type": "linear", "factor": 8.0}}, "but no rope_type in"
    ),
    "Phi-3 with another": ("phi3", {"rope_scaling": LINEAR}, "wanted one of default, longrope"),
    "Phi-3 of its first days": (
        "phi3", {"rope_scaling": {"type": "su", **LONG}}, "wanted rope_type longrope"
    ),
    "too few factors": (
        "phi3",
        {"rope_scaling": {"type": "longrope", **LONG, "short_factor": [1.0]}},
        "1 numbers in short_factor of rope_scaling; wanted 8",
    ),
    "one factor": (
        "phi3",
        {"rope_scaling": {"type": "longrope", **LONG, "long_factor": 2.0}},
        "wanted a list of numbers",
    ),
    "first positions of Phi-3 in another place": (
        "phi3",
        {"rope_parameters": {
            "rope_type": "longrope", **LONG, "original_max_position_embeddings": 128}},
        "original_max_position_embeddings 4096, and 128",
    ),
    "frequencies the wrong way round": (
        "llama", {"rope_scaling": {**LLAMA3, "low_freq_factor": 4.0}}, "the second one above"
    ),
    "a head size of null": ("qwen2", {"rope_scaling": YARN, "head_dim": None}, "head_dim null"),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE)
def test_what_would_be_ignored_or_fail_is_a_fault(name: str) -> None:
    kind, own, words = FALSE[name]
    assert words in " ".join(rope_faults({**SHAPE, "model_type": kind, **own}))


@pytest.mark.parametrize("name", SOUND)
def test_what_is_accepted_changes_the_positions(name: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, own = copy.deepcopy(SOUND[name])  # transformers writes into what it is given
    size: dict[str, Any] = {} if kind in ("phi3", "qwen2", "smollm3") else {"head_dim": 16}
    if kind == "gemma3_text":
        size["layer_types"] = ["sliding_attention", "full_attention"]
    given = {**SHAPE, "model_type": kind, **size, **own}
    if kind == "phi3":
        given["max_position_embeddings"] = 8192
    assert list(rope_faults(given)) == []
    plain, scaled = (
        AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**SHAPE, **size, **more}))
        for more in ({}, {k: given[k] for k in (*own, "max_position_embeddings")})
    )
    buffers = dict(plain.model.rotary_emb.named_buffers())
    changed = [
        key
        for key, value in scaled.model.rotary_emb.named_buffers()
        if key not in buffers or not torch.equal(value, buffers[key])
    ]
    rope = scaled.model.rotary_emb
    is_dynamic = getattr(rope, "rope_type", None) == "dynamic"  # of positions beyond the first ones
    assert changed or is_dynamic or rope.attention_scaling != 1.0


def test_what_is_left_out_or_filled_in_is_a_note() -> None:
    config = {"rope_scaling": {"type": "yarn", "factor": 4.0, "finetuned": True}}
    notes = list(rope_notes({**config, "model_type": "llama", "max_position_embeddings": 64}))
    assert "finetuned" in notes[0]
    assert "transformers takes max_position_embeddings (64)" in notes[1]
    assert list(rope_notes({"model_type": "gemma3_text", "rope_parameters": BY_LAYER})) == []
