"""A base read part by part is, bit for bit, the one that is loaded whole."""

import json
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from loray.errors import ModelError
from loray.models.deferred import DeferredBase, defer_base, is_unread
from loray.models.load import load_base
from loray.spec.train import BaseModelSpec

KINDS = [(q, d) for q in ("none", "nf4") for d in ("float32", "bfloat16")]
SHAPE = {
    "vocab_size": 300,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
}
LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
MODELS: dict[str, dict[str, Any]] = {
    "llama-tied": {"model_type": "llama", "tie_word_embeddings": True},
    "llama-3": {"model_type": "llama", "rope_parameters": LLAMA_3, "tie_word_embeddings": False},
    "mistral": {"model_type": "mistral"},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", "head_dim": 16},
    "gemma3": {"model_type": "gemma3_text", "head_dim": 16, "sliding_window": 8},
    "phi3": {"model_type": "phi3", "pad_token_id": 0},
    "granite": {"model_type": "granite", "embedding_multiplier": 6.0, "logits_scaling": 3.0},
    "cohere2": {"model_type": "cohere2", "sliding_window": 8},
}


def write(folder: Path, *, dtype: str = "bfloat16", shard: str = "5GB", **config: Any) -> Path:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**(SHAPE | config)))
    for parameter in model.parameters():  # norms and biases begin all alike
        parameter.data += 0.01 * torch.randn_like(parameter)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    return folder


def spec(folder: Path, quantization: str = "none", dtype: str = "bfloat16") -> BaseModelSpec:
    return BaseModelSpec.model_validate(
        {"path": str(folder), "quantization": quantization, "dtype": dtype}
    )


def deferred(base: BaseModelSpec) -> DeferredBase:
    found = defer_base(base)
    assert found is not None
    return found


def parts(model: Any) -> list[nn.Module]:
    return [*model.get_decoder().layers, model]


def assert_same(found: Any, wanted: Any) -> None:
    """Weights, packed bytes and their scales, buffers, ties, settings."""
    mine, theirs = found.state_dict(), wanted.state_dict()
    assert mine.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert mine[name].dtype == tensor.dtype, name
        assert torch.equal(mine[name], tensor), name
    assert dict(found.named_parameters()).keys() == dict(wanted.named_parameters()).keys()
    buffers = dict(found.named_buffers())
    assert buffers.keys() == dict(wanted.named_buffers()).keys()
    for name, tensor in wanted.named_buffers():
        assert buffers[name].dtype == tensor.dtype
        assert torch.equal(buffers[name], tensor), name
    assert found.config.to_dict() == wanted.config.to_dict()
    assert found.generation_config.to_dict() == wanted.generation_config.to_dict()
    assert not any(p.requires_grad for p in found.parameters())
    assert found.training is wanted.training is False


@pytest.mark.parametrize(("quantization", "dtype"), KINDS)
@pytest.mark.parametrize("name", ["llama-tied", "llama-3"])
def test_a_base_that_is_read_part_by_part_is_the_whole_one(
    tmp_path: Path, name: str, quantization: str, dtype: str
) -> None:
    base = spec(write(tmp_path, **MODELS[name]), quantization, dtype)
    found = deferred(base)
    for part in parts(found.model):
        found.read(part)
    wanted = load_base(base)
    assert_same(found.model, wanted)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(found.model(ids).logits, wanted(ids).logits)


@pytest.mark.parametrize("name", ["mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_every_family_that_the_planner_knows_is_read_so(
    tmp_path: Path, name: str, stored: str
) -> None:
    base = spec(write(tmp_path, dtype=stored, **MODELS[name]), "nf4")
    found = deferred(base)
    found.read(found.model)
    assert_same(found.model, load_base(base))


def test_a_checkpoint_of_many_files_is_read_through_its_index(tmp_path: Path) -> None:
    base = spec(write(tmp_path, shard="60KB", **MODELS["llama-3"]), dtype="float32")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    found = deferred(base)
    for part in parts(found.model):
        found.read(part)
    assert_same(found.model, load_base(base))


@pytest.mark.parametrize("shard", ["5GB", "60KB"])
@pytest.mark.parametrize("revision", [None, "a" * 40])
def test_a_hub_id_is_read_from_the_local_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: str, revision: str | None
) -> None:
    folder = tmp_path / "models--org--small"
    write(folder / "snapshots" / ("a" * 40), shard=shard, **MODELS["llama-3"])
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    base = BaseModelSpec(path="org/small", revision=revision, quantization="none")
    found = deferred(base)
    found.read(found.model)
    assert_same(found.model, load_base(base))


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_what_is_not_read_yet_takes_no_memory(tmp_path: Path, quantization: str) -> None:
    found = deferred(spec(write(tmp_path, **MODELS["llama-tied"]), quantization))
    wanted = load_base(spec(tmp_path, quantization))
    forms = {n: (p.shape, p.dtype, p.device) for n, p in wanted.named_parameters()}
    sizes = [held(found.model)]
    assert sizes[0] < 1000  # of 250 thousand: a number for each weight
    for part in parts(found.model):
        assert all(is_unread(p) for p in part.parameters() if p.untyped_storage().nbytes() <= 4)
        assert {n: (p.shape, p.dtype, p.device) for n, p in found.model.named_parameters()} == forms
        found.read(part)
        assert not any(is_unread(p) for p in part.parameters())
        sizes.append(held(found.model))
    layers = [after - before for before, after in pairwise(sizes)][:-1]
    assert layers == pytest.approx([held(wanted.get_decoder().layers[0])] * 3, rel=0.01)
    assert sizes[-1] == held(wanted)


def held(part: nn.Module) -> int:
    """Bytes of the weights' own memory."""
    return sum(p.untyped_storage().nbytes() for p in part.parameters())


def test_a_part_may_be_read_alone(tmp_path: Path) -> None:
    """As a stage of a pipeline would; twice is once."""
    base = spec(write(tmp_path, **MODELS["llama-tied"]))
    found, wanted = deferred(base), load_base(base)
    layer = found.model.get_decoder().layers[1]
    found.read(layer)
    layer.mlp.up_proj.weight.data.add_(1)
    found.read(layer)
    theirs = wanted.get_decoder().layers[1]
    assert torch.equal(layer.mlp.up_proj.weight, theirs.mlp.up_proj.weight + 1)
    assert torch.equal(layer.mlp.gate_proj.weight, theirs.mlp.gate_proj.weight)
    assert is_unread(found.model.get_decoder().layers[0].mlp.up_proj.weight)
    assert is_unread(found.model.get_input_embeddings().weight)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_weight_that_is_missing_is_named(tmp_path: Path, quantization: str) -> None:
    write(tmp_path, **MODELS["llama-3"])
    change(tmp_path, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(ModelError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight; wanted"):
        defer_base(spec(tmp_path, quantization))


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_weight_of_another_shape_is_named(tmp_path: Path, quantization: str) -> None:
    write(tmp_path, **MODELS["llama-3"])
    name = "model.layers.2.self_attn.q_proj.weight"
    change(tmp_path, lambda tensors: tensors.update({name: torch.zeros(32, 64)}))
    match = r"layers\.2\.self_attn\.q_proj\.weight of .* \(32, 64\).*wanted \(64, 64\)"
    with pytest.raises(ModelError, match=match):
        defer_base(spec(tmp_path, quantization))


def test_a_base_that_is_not_there_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be loaded: .*wanted a folder"):
        defer_base(spec(tmp_path / "none"))


def test_rows_that_a_cpu_would_misread_in_nf4_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **(MODELS["llama-3"] | {"hidden_size": 96}))
    with pytest.raises(ModelError, match=r"q_proj of .* has 96 inputs"):
        defer_base(spec(tmp_path, "nf4", "float32"))


def without_prefix(tensors: dict[str, torch.Tensor]) -> None:
    for name in list(tensors):
        tensors[name.removeprefix("model.")] = tensors.pop(name)


def both_of_a_tie(tensors: dict[str, torch.Tensor]) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (without_prefix, "has another name in its files"),
        (both_of_a_tie, "both of two weights that are tied"),
    ],
)
def test_files_that_only_transformers_can_read_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, edit: Any, reason: str
) -> None:
    write(tmp_path, **MODELS["llama-tied"])
    change(tmp_path, edit)
    with caplog.at_level(logging.WARNING, logger="loray.models.deferred"):
        assert defer_base(spec(tmp_path)) is None
    assert reason in caplog.text
    assert load_base(spec(tmp_path)).get_input_embeddings().weight.any()


def test_experts_that_are_fused_on_loading_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, model_type="mixtral", num_local_experts=2)
    assert defer_base(spec(tmp_path)) is None
    assert "transformers renames or converts" in caplog.text


def test_files_of_quantized_weights_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "whole", **MODELS["llama-tied"])
    load_base(spec(tmp_path / "whole", "nf4")).save_pretrained(tmp_path / "packed")
    config = json.loads((tmp_path / "packed" / "config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"]["bnb_4bit_quant_type"] == "nf4"
    assert defer_base(spec(tmp_path / "packed", "nf4")) is None
    assert "quantized weights" in caplog.text


def change(folder: Path, edit: Any) -> None:
    """Write a checkpoint of one file anew with other tensors."""
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
