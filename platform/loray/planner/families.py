"""Shapes of well-known models, so that they can be planned for where they are not on the disk.

What their publishers' `config.json` say; names are hub ids. `tests/planner/test_families.py` holds
each to the parameters that its publisher counts.
"""

from dataclasses import replace

from loray.planner.architecture import Architecture
from loray.planner.configs import config_path, read_architecture
from loray.spec.train import BaseModelSpec

_QWEN2_BIASED = ("q_proj", "k_proj", "v_proj")


def _shape(
    hidden: int, intermediate: int, layers: int, heads: tuple[int, int, int], vocabulary: int
) -> Architecture:
    """A Llama-like shape; `heads` of queries, of keys and values, and the size of one."""
    return Architecture(
        hidden=hidden,
        intermediate=intermediate,
        layers=layers,
        heads=heads[0],
        kv_heads=heads[1],
        head_size=heads[2],
        vocabulary=vocabulary,
        is_tied=False,
    )


def _tied(shape: Architecture) -> Architecture:
    return replace(shape, is_tied=True)


def _qwen2(shape: Architecture) -> Architecture:
    return replace(shape, biased=_QWEN2_BIASED)


def _qwen3(shape: Architecture) -> Architecture:
    return replace(shape, head_norms="shared")


_LLAMA_2_7B = _shape(4096, 11008, 32, (32, 32, 128), 32000)
_LLAMA_2_13B = _shape(5120, 13824, 40, (40, 40, 128), 32000)
_LLAMA_2_70B = _shape(8192, 28672, 80, (64, 8, 128), 32000)
_LLAMA_3_1B = _tied(_shape(2048, 8192, 16, (32, 8, 64), 128256))
_LLAMA_3_3B = _tied(_shape(3072, 8192, 28, (24, 8, 128), 128256))
_LLAMA_3_8B = _shape(4096, 14336, 32, (32, 8, 128), 128256)
_LLAMA_3_70B = _shape(8192, 28672, 80, (64, 8, 128), 128256)
_MISTRAL_7B = _shape(4096, 14336, 32, (32, 8, 128), 32768)

_QWEN2_5 = {
    "0.5B": _tied(_shape(896, 4864, 24, (14, 2, 64), 151936)),
    "1.5B": _tied(_shape(1536, 8960, 28, (12, 2, 128), 151936)),
    "3B": _tied(_shape(2048, 11008, 36, (16, 2, 128), 151936)),
    "7B": _shape(3584, 18944, 28, (28, 4, 128), 152064),
    "14B": _shape(5120, 13824, 48, (40, 8, 128), 152064),
    "32B": _shape(5120, 27648, 64, (40, 8, 128), 152064),
    "72B": _shape(8192, 29568, 80, (64, 8, 128), 152064),
}
_QWEN3 = {
    "0.6B": _tied(_shape(1024, 3072, 28, (16, 8, 128), 151936)),
    "1.7B": _tied(_shape(2048, 6144, 28, (16, 8, 128), 151936)),
    "4B": _tied(_shape(2560, 9728, 36, (32, 8, 128), 151936)),
    "8B": _shape(4096, 12288, 36, (32, 8, 128), 151936),
    "14B": _shape(5120, 17408, 40, (40, 8, 128), 151936),
    "32B": _shape(5120, 25600, 64, (64, 8, 128), 151936),
}

FAMILIES: dict[str, Architecture] = {
    "meta-llama/Llama-2-7b-hf": _LLAMA_2_7B,
    "meta-llama/Llama-2-7b-chat-hf": _LLAMA_2_7B,
    "meta-llama/Llama-2-13b-hf": _LLAMA_2_13B,
    "meta-llama/Llama-2-13b-chat-hf": _LLAMA_2_13B,
    "meta-llama/Llama-2-70b-hf": _LLAMA_2_70B,
    "meta-llama/Llama-2-70b-chat-hf": _LLAMA_2_70B,
    "meta-llama/Meta-Llama-3-8B": _LLAMA_3_8B,
    "meta-llama/Meta-Llama-3-8B-Instruct": _LLAMA_3_8B,
    "meta-llama/Meta-Llama-3-70B": _LLAMA_3_70B,
    "meta-llama/Meta-Llama-3-70B-Instruct": _LLAMA_3_70B,
    "meta-llama/Llama-3.1-8B": _LLAMA_3_8B,
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_3_8B,
    "meta-llama/Llama-3.1-70B": _LLAMA_3_70B,
    "meta-llama/Llama-3.1-70B-Instruct": _LLAMA_3_70B,
    "meta-llama/Llama-3.2-1B": _LLAMA_3_1B,
    "meta-llama/Llama-3.2-1B-Instruct": _LLAMA_3_1B,
    "meta-llama/Llama-3.2-3B": _LLAMA_3_3B,
    "meta-llama/Llama-3.2-3B-Instruct": _LLAMA_3_3B,
    "meta-llama/Llama-3.3-70B-Instruct": _LLAMA_3_70B,
    "mistralai/Mistral-7B-v0.1": replace(_MISTRAL_7B, vocabulary=32000),
    "mistralai/Mistral-7B-v0.3": _MISTRAL_7B,
    "mistralai/Mistral-7B-Instruct-v0.3": _MISTRAL_7B,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": _shape(2048, 5632, 22, (32, 4, 64), 32000),
    "HuggingFaceTB/SmolLM2-135M": _tied(_shape(576, 1536, 30, (9, 3, 64), 49152)),
    "HuggingFaceTB/SmolLM2-360M": _tied(_shape(960, 2560, 32, (15, 5, 64), 49152)),
    "HuggingFaceTB/SmolLM2-1.7B": _tied(_shape(2048, 8192, 24, (32, 32, 64), 49152)),
    **{f"Qwen/Qwen2.5-{size}": _qwen2(shape) for size, shape in _QWEN2_5.items()},
    **{f"Qwen/Qwen2.5-{size}-Instruct": _qwen2(shape) for size, shape in _QWEN2_5.items()},
    **{f"Qwen/Qwen3-{size}": _qwen3(shape) for size, shape in _QWEN3.items()},
}


def architecture_for(model: BaseModelSpec) -> Architecture:
    """The shape of a base model: what its files say, or else what is known by its hub id.

    Raises:
        ModelError: neither is there, or the files are of a kind that the planner cannot count.
    """
    if model.path in FAMILIES and not config_path(model).is_file():
        return FAMILIES[model.path]
    return read_architecture(model)
