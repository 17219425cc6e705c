"""A small random base model, adapters that visibly change it, and what plain PEFT says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCAB = 260
EOS = 259
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FAMILIES: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


class ByteTokenizer:
    """Ids 0 to 255 are bytes; the rest are special tokens, the last of them ends a text."""

    eos_token_id = EOS

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        shown = [i for i in token_ids if i < 256 or not skip_special_tokens]
        parts = bytes(i for i in shown if i < 256)
        return parts.decode("utf-8", errors="replace")


@dataclass
class World:
    """A base model and adapter folders, by name."""

    family: str
    adapters: dict[str, Path]

    def base(self) -> PreTrainedModel:
        return build_base(self.family)

    def peft(self) -> PeftModel:
        """Every adapter over one base, as plain PEFT loads them."""
        names = list(self.adapters)
        model = PeftModel.from_pretrained(self.base(), self.adapters[names[0]], names[0])
        for name in names[1:]:
            model.load_adapter(self.adapters[name], name)
        return model.eval()


def build_base(family: str = "llama", seed: int = 0, **changes: Any) -> PreTrainedModel:
    config_class, model_class = FAMILIES[family]
    shape: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "intermediate_size": 80,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": 258,
        "eos_token_id": EOS,
        "pad_token_id": 258,
    }
    if family == "qwen2":
        del shape["head_dim"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config_class(**(shape | changes))).eval()


def read_base(folder: Path, *, nf4: bool) -> PreTrainedModel:
    """A saved base in float32, or in NF4 that is computed in float32."""
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=quantization if nf4 else None
    )
    for module in model.modules():  # bfloat16 otherwise, where the CPU has it
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model.eval()


def write_adapter(
    folder: Path, base: PreTrainedModel, seed: int, *, size: float = 0.3, **changes: Any
) -> Path:
    """An adapter whose A and B are random, so that it says other things than the base."""
    options: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": list(ALL_LINEAR),
        "task_type": "CAUSAL_LM",
    }
    model = get_peft_model(base, LoraConfig(**(options | changes)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            drawn = torch.randn(weights.shape, generator=generator) * size
            if "lora_magnitude_vector" in name:
                weights.mul_(1.0 + drawn)
            elif "lora_" in name:
                weights.copy_(drawn)
    model.save_pretrained(folder)
    return folder


def plain_generate(
    model: PeftModel, prompt: Sequence[int], adapter: str | None, max_new_tokens: int
) -> tuple[int, ...]:
    """Greedy tokens by transformers and PEFT, one prompt at a time."""
    options: dict[str, Any] = {
        "input_ids": torch.tensor([list(prompt)]),
        "attention_mask": torch.ones(1, len(prompt), dtype=torch.long),
        "max_new_tokens": max_new_tokens,
        "do_sample": False,
        "pad_token_id": 258,
    }
    with torch.inference_mode():
        if adapter is None:
            with model.disable_adapter():
                output = model.generate(**options)
        else:
            model.set_adapter(adapter)
            output = model.generate(**options)
    return tuple(output[0, len(prompt) :].tolist())


def prompt(seed: int, length: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(0, 256, (length,), generator=generator).tolist())
