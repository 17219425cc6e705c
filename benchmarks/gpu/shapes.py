"""Models of well-known shapes with random weights, made in place: no file is read.

The weights of the projections go to the device one at a time, so that a model of 70B parameters
in NF4 is there within a minute and never takes more than its own size.
"""

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SHAPES: dict[str, dict[str, int]] = {
    "micro": {"hidden": 128, "intermediate": 256, "layers": 2, "heads": 4, "vocabulary": 512},
    "1b": {"hidden": 2048, "intermediate": 8192, "layers": 16, "heads": 32, "vocabulary": 128256},
    "8b": {"hidden": 4096, "intermediate": 14336, "layers": 32, "heads": 32, "vocabulary": 128256},
    "34b": {"hidden": 8192, "intermediate": 22016, "layers": 48, "heads": 64, "vocabulary": 32000},
    "70b": {"hidden": 8192, "intermediate": 28672, "layers": 80, "heads": 64, "vocabulary": 128256},
}
"""Llama 3.2 1B, Llama 3 8B, CodeLlama 34B, Llama 3 70B (micro is for trying a script on a CPU)."""


def config_of(name: str) -> LlamaConfig:
    """The configuration of a shape."""
    shape = SHAPES[name]
    return LlamaConfig(
        vocab_size=shape["vocabulary"],
        hidden_size=shape["hidden"],
        intermediate_size=shape["intermediate"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=max(shape["heads"] // 4, 8) if shape["heads"] > 8 else 2,
        max_position_embeddings=8192,
        tie_word_embeddings=name == "1b",
    )


def build(name: str, quantization: str, device: str) -> LlamaForCausalLM:
    """A model of a shape on `device`, bfloat16 or NF4 with double quantization, frozen."""
    config = config_of(name)
    with torch.device("meta"):
        model = LlamaForCausalLM(config).bfloat16()
    for path, module in list(model.model.layers.named_modules()):
        if isinstance(module, nn.Linear):
            random = _random(module.weight.shape, device)
            model.model.layers.set_submodule(path, _linear(module, random, quantization))
    for module in model.modules():
        for key, parameter in module.named_parameters(recurse=False):
            if parameter.is_meta:
                value = _random(parameter.shape, device)
                is_norm = parameter.ndim == 1
                setattr(module, key, nn.Parameter(torch.ones_like(value) if is_norm else value))
    model.model.rotary_emb = LlamaRotaryEmbedding(config).to(device)
    model.tie_weights()
    model.requires_grad_(requires_grad=False)
    model.eval()
    return model


def _random(shape: torch.Size, device: str) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.bfloat16, device=device).normal_(std=0.02)


def _linear(module: nn.Linear, weight: torch.Tensor, quantization: str) -> nn.Module:
    if quantization == "none":
        module.weight = nn.Parameter(weight, requires_grad=False)
        return module
    packed = Linear4bit(
        module.in_features,
        module.out_features,
        bias=False,
        compute_dtype=torch.bfloat16,
        compress_statistics=True,
        quant_type="nf4",
        device="meta",
    )
    values = Params4bit(
        weight, requires_grad=False, compress_statistics=True, quant_type="nf4", module=packed
    )
    packed.weight = values.to(weight.device)  # type: ignore[misc]  # its overloads clash
    return packed
