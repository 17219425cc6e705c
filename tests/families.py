"""Small random models of every family that is supported, in several forms of each."""

from pathlib import Path
from typing import Any

WINDOW = 8
"""Positions that a sliding layer sees; tests have rows shorter and longer than this."""
SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "bos_token_id": 298,
    "eos_token_id": 299,
    "pad_token_id": 298,
}
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 24}
BOTH = ["sliding_attention", "full_attention"]
LONG = [1.0 + 0.5 * i for i in range(8)]

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"mlp_bias": True, "attention_bias": True}),
    "mistral": ("mistral", {"sliding_window": None, "head_dim": 32}),
    "mistral, window": ("mistral", {"sliding_window": WINDOW}),
    "qwen2": ("qwen2", {}),
    "qwen2, windows": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    "qwen3": ("qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    "gemma": ("gemma", {"head_dim": 32}),
    "gemma2": ("gemma2", {**GEMMA, "sliding_window": WINDOW, "final_logit_softcapping": 3.0}),
    "gemma3_text": ("gemma3_text", {**GEMMA, "sliding_window": WINDOW, "layer_types": BOTH}),
    "phi3": ("phi3", {}),
    "phi3, window": ("phi3", {"sliding_window": WINDOW, "num_key_value_heads": 4}),
    "phi3, long": (
        "phi3",
        {
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 8,
                "long_factor": LONG,
            },
            "original_max_position_embeddings": 128,
        },
    ),
    "phi3, in part": (
        "phi3",
        {
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            }
        },
    ),
    "olmo2": ("olmo2", {}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0]}),
    "smollm3, windows": (
        "smollm3",
        {"no_rope_layers": [1, 0], "use_sliding_window": True, "sliding_window": WINDOW},
    ),
    "granite": (
        "granite",
        {
            "embedding_multiplier": 6.0,
            "attention_multiplier": 0.3,
            "residual_multiplier": 0.4,
            "logits_scaling": 3.0,
            "tie_word_embeddings": True,
        },
    ),
    "cohere": ("cohere", {"logit_scale": 0.3}),
    "cohere, norms": ("cohere", {"logit_scale": 0.3, "use_qk_norm": True}),
    "cohere2": ("cohere2", {"logit_scale": 0.3, "sliding_window": WINDOW, "layer_types": BOTH}),
}
"""By name, the `model_type` and what its config has beside `SHAPE`."""
NAMES = tuple(FAMILIES)
ONE_EACH = tuple({kind: name for name, (kind, _) in reversed(FAMILIES.items())}.values())
"""One of each type."""


def config_of(name: str, **changes: Any) -> Any:
    """The transformers config of a small model."""
    from transformers import AutoConfig

    kind, own = FAMILIES[name]
    return AutoConfig.for_model(kind, **{**SHAPE, **own, **changes})


def build(name: str, seed: int = 0, **changes: Any) -> Any:
    """A random model in evaluation mode; norms are random, too."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config_of(name, **changes)).eval()
        for path, parameter in model.named_parameters():
            if parameter.dim() == 1 or "norm" in path:
                torch.nn.init.normal_(parameter, mean=float(parameter.mean()), std=0.2)
    return model


def save(name: str, tokenizer: Path, folder: Path, **changes: Any) -> Path:
    """The same on disk, with the tokenizer of the model in `tokenizer`."""
    import shutil

    folder.mkdir(parents=True)
    for path in tokenizer.iterdir():
        if path.is_file() and path.name.startswith(("tokenizer", "special", "chat")):
            shutil.copy(path, folder)
    build(name, **changes).save_pretrained(folder)
    return folder
