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


def _gemma(shape: Architecture) -> Architecture:
    return replace(shape, is_tied=True, norm_kind="wide rms")


def _gemma2(shape: Architecture) -> Architecture:
    capped = replace(shape, is_eager=True, has_logit_cap=True, window=4096)
    return replace(capped, is_tied=True, layer_norms=4, norm_kind="wide rms")


def _gemma3(shape: Architecture) -> Architecture:
    normed = replace(shape, layer_norms=4, head_norms="shared", norm_kind="wide rms")
    return replace(normed, is_tied=True, window=512)


def _phi3(shape: Architecture) -> Architecture:
    return replace(shape, is_fused=True)


def _olmo2(shape: Architecture) -> Architecture:
    return replace(shape, head_norms="own", norm_kind="wide rms")


def _cohere(shape: Architecture) -> Architecture:
    return replace(shape, is_tied=True, layer_norms=1, norm_kind="layer", is_parallel=True)


_LLAMA_2 = {
    "7b": _shape(4096, 11008, 32, (32, 32, 128), 32000),
    "13b": _shape(5120, 13824, 40, (40, 40, 128), 32000),
    "70b": _shape(8192, 28672, 80, (64, 8, 128), 32000),
}
_LLAMA_3_1B = _tied(_shape(2048, 8192, 16, (32, 8, 64), 128256))
_LLAMA_3_3B = _tied(_shape(3072, 8192, 28, (24, 8, 128), 128256))
_LLAMA_3_8B = _shape(4096, 14336, 32, (32, 8, 128), 128256)
_LLAMA_3_70B = _shape(8192, 28672, 80, (64, 8, 128), 128256)
_MISTRAL_7B = _shape(4096, 14336, 32, (32, 8, 128), 32768)
_MISTRAL_7B_OLD = replace(_MISTRAL_7B, vocabulary=32000)
_MISTRAL_7B_FIRST = replace(_MISTRAL_7B_OLD, window=4096)
_MISTRAL_NEMO = _shape(5120, 14336, 40, (32, 8, 128), 131072)
_MISTRAL_SMALL = _shape(5120, 32768, 40, (32, 8, 128), 131072)

_LLAMAS = {
    "Llama-3.1-8B": _LLAMA_3_8B,
    "Llama-3.1-70B": _LLAMA_3_70B,
    "Llama-3.2-1B": _LLAMA_3_1B,
    "Llama-3.2-3B": _LLAMA_3_3B,
}
_SMOLLM2 = {
    "135M": _tied(_shape(576, 1536, 30, (9, 3, 64), 49152)),
    "360M": _tied(_shape(960, 2560, 32, (15, 5, 64), 49152)),
    "1.7B": _tied(_shape(2048, 8192, 24, (32, 32, 64), 49152)),
}
_QWEN2_5 = {
    "0.5B": _qwen2(_tied(_shape(896, 4864, 24, (14, 2, 64), 151936))),
    "1.5B": _qwen2(_tied(_shape(1536, 8960, 28, (12, 2, 128), 151936))),
    "3B": _qwen2(_tied(_shape(2048, 11008, 36, (16, 2, 128), 151936))),
    "7B": _qwen2(_shape(3584, 18944, 28, (28, 4, 128), 152064)),
    "14B": _qwen2(_shape(5120, 13824, 48, (40, 8, 128), 152064)),
    "32B": _qwen2(_shape(5120, 27648, 64, (40, 8, 128), 152064)),
    "72B": _qwen2(_shape(8192, 29568, 80, (64, 8, 128), 152064)),
}
_QWEN3 = {
    "0.6B": _qwen3(_tied(_shape(1024, 3072, 28, (16, 8, 128), 151936))),
    "1.7B": _qwen3(_tied(_shape(2048, 6144, 28, (16, 8, 128), 151936))),
    "4B": _qwen3(_tied(_shape(2560, 9728, 36, (32, 8, 128), 151936))),
    "8B": _qwen3(_shape(4096, 12288, 36, (32, 8, 128), 151936)),
    "14B": _qwen3(_shape(5120, 17408, 40, (40, 8, 128), 151936)),
    "32B": _qwen3(_shape(5120, 25600, 64, (64, 8, 128), 151936)),
}
_GEMMA = {
    "gemma-2b": _gemma(_shape(2048, 16384, 18, (8, 1, 256), 256000)),
    "gemma-7b": _gemma(_shape(3072, 24576, 28, (16, 16, 256), 256000)),
    "gemma-2-2b": _gemma2(_shape(2304, 9216, 26, (8, 4, 256), 256000)),
    "gemma-2-9b": _gemma2(_shape(3584, 14336, 42, (16, 8, 256), 256000)),
    "gemma-2-27b": _gemma2(_shape(4608, 36864, 46, (32, 16, 128), 256000)),
}
_GEMMA_3 = {
    "270m": _gemma3(_shape(640, 2048, 18, (4, 1, 256), 262144)),
    "1b": _gemma3(_shape(1152, 6912, 26, (4, 1, 256), 262144)),
}
_PHI_3_MINI = _phi3(_shape(3072, 8192, 32, (32, 32, 96), 32064))
_PHI_3_MEDIUM = _phi3(_shape(5120, 17920, 40, (40, 10, 128), 32064))
_PHI_3_4K = {
    "mini-4k": replace(_PHI_3_MINI, window=2047),
    "medium-4k": replace(_PHI_3_MEDIUM, window=2047),
}
_PHI_4 = replace(_PHI_3_MEDIUM, vocabulary=100352)
_PHI_4_MINI = _tied(_phi3(_shape(3072, 8192, 32, (24, 8, 128), 200064)))
_OLMO_2 = {
    "0425-1B": _olmo2(_shape(2048, 8192, 16, (16, 16, 128), 100352)),
    "1124-7B": _olmo2(_shape(4096, 11008, 32, (32, 32, 128), 100352)),
    "1124-13B": _olmo2(_shape(5120, 13824, 40, (40, 40, 128), 100352)),
    "0325-32B": _olmo2(_shape(5120, 27648, 64, (40, 8, 128), 100352)),
}
_SMOLLM3 = _tied(_shape(2048, 11008, 36, (16, 4, 128), 128256))
_GRANITE_3 = {
    "2b": _tied(_shape(2048, 8192, 40, (32, 8, 64), 49155)),
    "8b": _tied(_shape(4096, 12800, 40, (32, 8, 128), 49155)),
}
_AYA_8B = _cohere(_shape(4096, 14336, 32, (32, 8, 128), 256000))
_COMMAND_R7B = replace(_AYA_8B, window=4096)
_COMMAND_R = _cohere(_shape(8192, 24576, 40, (64, 8, 128), 256000))
_COMMAND_R_V01 = _cohere(_shape(8192, 22528, 40, (64, 64, 128), 256000))

Shapes = dict[str, Architecture]


def _named(name: str, sizes: Shapes, *endings: str) -> Shapes:
    """The same shapes under several ids: `name` with a size for `{}`, and an ending."""
    return {
        name.format(size) + ending: shape for size, shape in sizes.items() for ending in endings
    }


FAMILIES: Shapes = {
    **_named("meta-llama/Llama-2-{}-hf", _LLAMA_2, ""),
    **_named("meta-llama/Llama-2-{}-chat-hf", _LLAMA_2, ""),
    **_named(
        "meta-llama/Meta-Llama-3-{}", {"8B": _LLAMA_3_8B, "70B": _LLAMA_3_70B}, "", "-Instruct"
    ),
    **_named(
        "meta-llama/Meta-Llama-3.1-{}", {"8B": _LLAMA_3_8B, "70B": _LLAMA_3_70B}, "", "-Instruct"
    ),
    **_named("meta-llama/{}", _LLAMAS, "", "-Instruct"),
    "meta-llama/Llama-3.3-70B-Instruct": _LLAMA_3_70B,
    **_named("unsloth/{}", _LLAMAS, "", "-Instruct"),
    **_named("unsloth/Meta-Llama-3.1-8B", {"": _LLAMA_3_8B}, "", "-Instruct"),
    "unsloth/llama-3-8b": _LLAMA_3_8B,
    "unsloth/llama-3-8b-Instruct": _LLAMA_3_8B,
    "unsloth/Llama-3.3-70B-Instruct": _LLAMA_3_70B,
    "mistralai/Mistral-7B-v0.1": _MISTRAL_7B_FIRST,
    "mistralai/Mistral-7B-Instruct-v0.1": _MISTRAL_7B_FIRST,
    "mistralai/Mistral-7B-Instruct-v0.2": _MISTRAL_7B_OLD,
    "mistralai/Mistral-7B-v0.3": _MISTRAL_7B,
    "mistralai/Mistral-7B-Instruct-v0.3": _MISTRAL_7B,
    "unsloth/mistral-7b-v0.3": _MISTRAL_7B,
    "unsloth/mistral-7b-instruct-v0.3": _MISTRAL_7B,
    **_named(
        "mistralai/Mistral-Nemo-{}-2407", {"Base": _MISTRAL_NEMO, "Instruct": _MISTRAL_NEMO}, ""
    ),
    **_named(
        "mistralai/Mistral-Small-24B-{}-2501",
        {"Base": _MISTRAL_SMALL, "Instruct": _MISTRAL_SMALL},
        "",
    ),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": _shape(2048, 5632, 22, (32, 4, 64), 32000),
    **_named("HuggingFaceTB/SmolLM-{}", _SMOLLM2, "", "-Instruct"),
    **_named("HuggingFaceTB/SmolLM2-{}", _SMOLLM2, "", "-Instruct"),
    **_named("HuggingFaceTB/SmolLM3-3B", {"": _SMOLLM3}, "", "-Base"),
    **_named(
        "Qwen/Qwen2-{}", {s: _QWEN2_5[s] for s in ("0.5B", "1.5B", "7B", "72B")}, "", "-Instruct"
    ),
    **_named("Qwen/Qwen2.5-{}", _QWEN2_5, "", "-Instruct"),
    **_named("unsloth/Qwen2.5-{}", _QWEN2_5, "", "-Instruct"),
    **_named(
        "Qwen/Qwen2.5-Coder-{}", {s: _QWEN2_5[s] for s in _QWEN2_5 if s != "72B"}, "", "-Instruct"
    ),
    **_named(
        "Qwen/Qwen2.5-Math-{}", {s: _QWEN2_5[s] for s in ("1.5B", "7B", "72B")}, "", "-Instruct"
    ),
    "Qwen/QwQ-32B": _QWEN2_5["32B"],
    **_named("Qwen/Qwen3-{}", _QWEN3, ""),
    **_named("unsloth/Qwen3-{}", _QWEN3, ""),
    **_named("Qwen/Qwen3-{}", {s: _QWEN3[s] for s in _QWEN3 if s != "32B"}, "-Base"),
    "Qwen/Qwen3-4B-Instruct-2507": _QWEN3["4B"],
    "Qwen/Qwen3-4B-Thinking-2507": _QWEN3["4B"],
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": replace(_QWEN2_5["1.5B"], is_tied=False),
    **_named(
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-{}",
        {s: _QWEN2_5[s] for s in ("7B", "14B", "32B")},
        "",
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": _LLAMA_3_8B,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": _LLAMA_3_70B,
    "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B": _QWEN3["8B"],
    **_named("google/{}", _GEMMA, "", "-it"),
    "google/gemma-1.1-2b-it": _GEMMA["gemma-2b"],
    "google/gemma-1.1-7b-it": _GEMMA["gemma-7b"],
    **_named("unsloth/{}", {s: _GEMMA[s] for s in ("gemma-2-2b", "gemma-2-9b")}, "", "-it"),
    **_named("google/gemma-3-{}", _GEMMA_3, "-it"),
    "google/gemma-3-1b-pt": _GEMMA_3["1b"],
    "google/gemma-3-270m": _GEMMA_3["270m"],
    **_named("unsloth/gemma-3-{}", _GEMMA_3, "-it"),
    **_named("microsoft/Phi-3-{}-instruct", _PHI_3_4K, ""),
    "microsoft/Phi-3-mini-128k-instruct": _PHI_3_MINI,
    "microsoft/Phi-3-medium-128k-instruct": _PHI_3_MEDIUM,
    "microsoft/Phi-3.5-mini-instruct": _PHI_3_MINI,
    "microsoft/phi-4": _PHI_4,
    "microsoft/Phi-4-reasoning": _PHI_4,
    "microsoft/Phi-4-mini-instruct": _PHI_4_MINI,
    **_named("allenai/OLMo-2-{}", _OLMO_2, "", "-Instruct"),
    **_named("ibm-granite/granite-3.0-{}", _GRANITE_3, "-base", "-instruct"),
    **_named("ibm-granite/granite-3.1-{}", _GRANITE_3, "-base", "-instruct"),
    **_named("ibm-granite/granite-3.2-{}", _GRANITE_3, "-instruct"),
    "CohereForAI/c4ai-command-r7b-12-2024": _COMMAND_R7B,
    "CohereLabs/c4ai-command-r7b-12-2024": _COMMAND_R7B,
    "CohereForAI/aya-expanse-8b": _AYA_8B,
    "CohereLabs/aya-expanse-8b": _AYA_8B,
    "CohereForAI/aya-expanse-32b": _COMMAND_R,
    "CohereLabs/aya-expanse-32b": _COMMAND_R,
    "CohereForAI/c4ai-command-r-v01": _COMMAND_R_V01,
    "CohereLabs/c4ai-command-r-v01": _COMMAND_R_V01,
    "CohereForAI/c4ai-command-r-08-2024": _COMMAND_R,
    "CohereLabs/c4ai-command-r-08-2024": _COMMAND_R,
}


def architecture_for(model: BaseModelSpec) -> Architecture:
    """The shape of a base model: what its files say, or else what is known by its hub id.

    Raises:
        ModelError: neither is there, or the files are of a kind that the planner cannot count.
    """
    if model.path in FAMILIES and not config_path(model).is_file():
        return FAMILIES[model.path]
    return read_architecture(model)
