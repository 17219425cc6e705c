"""Shapes of well-known models by family and size.

What their publishers' `config.json` say. `tests/planner/test_families.py` holds each to the
parameters that its publisher counts; which hub ids have which is in `loray.planner.families`.
"""

from dataclasses import replace

from loray.planner.architecture import Architecture

Shapes = dict[str, Architecture]
"""By size, as hub ids write it."""

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


LLAMA_2 = {
    "7b": _shape(4096, 11008, 32, (32, 32, 128), 32000),
    "13b": _shape(5120, 13824, 40, (40, 40, 128), 32000),
    "70b": _shape(8192, 28672, 80, (64, 8, 128), 32000),
}
CODE_LLAMA = {
    "7b": replace(LLAMA_2["7b"], vocabulary=32016),
    "13b": replace(LLAMA_2["13b"], vocabulary=32016),
    "34b": _shape(8192, 22016, 48, (64, 8, 128), 32000),
}
LLAMA_3 = {
    "1B": _tied(_shape(2048, 8192, 16, (32, 8, 64), 128256)),
    "3B": _tied(_shape(3072, 8192, 28, (24, 8, 128), 128256)),
    "8B": _shape(4096, 14336, 32, (32, 8, 128), 128256),
    "70B": _shape(8192, 28672, 80, (64, 8, 128), 128256),
    "405B": _shape(16384, 53248, 126, (128, 8, 128), 128256),
}
TINY_LLAMA = {"1.1B": _shape(2048, 5632, 22, (32, 4, 64), 32000)}
YI = {
    "6B": _shape(4096, 11008, 32, (32, 4, 128), 64000),
    "9B": _shape(4096, 11008, 48, (32, 4, 128), 64000),
    "34B": _shape(7168, 20480, 60, (56, 8, 128), 64000),
}
DEEPSEEK = {
    "coder-1.3b": _shape(2048, 5504, 24, (16, 16, 128), 32256),
    "coder-6.7b": _shape(4096, 11008, 32, (32, 32, 128), 32256),
    "7b": _shape(4096, 11008, 30, (32, 32, 128), 102400),
}
FALCON_3 = {
    "1B": _shape(2048, 8192, 18, (8, 4, 256), 131072),
    "3B": _shape(3072, 9216, 22, (12, 4, 256), 131072),
}
EURO_LLM = {"1.7B": _shape(2048, 5632, 24, (16, 8, 128), 128000)}
MISTRAL = {
    "7B-v0.3": _shape(4096, 14336, 32, (32, 8, 128), 32768),
    "7B-v0.2": _shape(4096, 14336, 32, (32, 8, 128), 32000),
    "7B-v0.1": replace(_shape(4096, 14336, 32, (32, 8, 128), 32000), window=4096),
    "8B": replace(_shape(4096, 12288, 36, (32, 8, 128), 131072), window=32768),
    "Nemo": _shape(5120, 14336, 40, (32, 8, 128), 131072),
    "Small": _shape(5120, 32768, 40, (32, 8, 128), 131072),
    "Large": _shape(12288, 28672, 88, (96, 8, 128), 32768),
}
SMOLLM2 = {
    "135M": _tied(_shape(576, 1536, 30, (9, 3, 64), 49152)),
    "360M": _tied(_shape(960, 2560, 32, (15, 5, 64), 49152)),
    "1.7B": _tied(_shape(2048, 8192, 24, (32, 32, 64), 49152)),
}
QWEN2_5 = {
    "0.5B": _qwen2(_tied(_shape(896, 4864, 24, (14, 2, 64), 151936))),
    "1.5B": _qwen2(_tied(_shape(1536, 8960, 28, (12, 2, 128), 151936))),
    "3B": _qwen2(_tied(_shape(2048, 11008, 36, (16, 2, 128), 151936))),
    "7B": _qwen2(_shape(3584, 18944, 28, (28, 4, 128), 152064)),
    "14B": _qwen2(_shape(5120, 13824, 48, (40, 8, 128), 152064)),
    "32B": _qwen2(_shape(5120, 27648, 64, (40, 8, 128), 152064)),
    "72B": _qwen2(_shape(8192, 29568, 80, (64, 8, 128), 152064)),
}
R1_DISTILLED = {"1.5B": replace(QWEN2_5["1.5B"], is_tied=False)}
QWEN3 = {
    "0.6B": _qwen3(_tied(_shape(1024, 3072, 28, (16, 8, 128), 151936))),
    "1.7B": _qwen3(_tied(_shape(2048, 6144, 28, (16, 8, 128), 151936))),
    "4B": _qwen3(_tied(_shape(2560, 9728, 36, (32, 8, 128), 151936))),
    "8B": _qwen3(_shape(4096, 12288, 36, (32, 8, 128), 151936)),
    "14B": _qwen3(_shape(5120, 17408, 40, (40, 8, 128), 151936)),
    "32B": _qwen3(_shape(5120, 25600, 64, (64, 8, 128), 151936)),
}
GEMMA = {
    "gemma-2b": _gemma(_shape(2048, 16384, 18, (8, 1, 256), 256000)),
    "gemma-7b": _gemma(_shape(3072, 24576, 28, (16, 16, 256), 256000)),
    "gemma-2-2b": _gemma2(_shape(2304, 9216, 26, (8, 4, 256), 256000)),
    "gemma-2-9b": _gemma2(_shape(3584, 14336, 42, (16, 8, 256), 256000)),
    "gemma-2-27b": _gemma2(_shape(4608, 36864, 46, (32, 16, 128), 256000)),
}
GEMMA_3 = {
    "270m": _gemma3(_shape(640, 2048, 18, (4, 1, 256), 262144)),
    "1b": _gemma3(_shape(1152, 6912, 26, (4, 1, 256), 262144)),
}
_PHI_3_MEDIUM = _phi3(_shape(5120, 17920, 40, (40, 10, 128), 32064))
PHI_3 = {
    "mini": _phi3(_shape(3072, 8192, 32, (32, 32, 96), 32064)),
    "medium": _PHI_3_MEDIUM,
}
PHI_3_4K = {size: replace(shape, window=2047) for size, shape in PHI_3.items()}
PHI_4 = {
    "phi-4": replace(_PHI_3_MEDIUM, vocabulary=100352),
    "mini": _tied(_phi3(_shape(3072, 8192, 32, (24, 8, 128), 200064))),
}
OLMO_2 = {
    "0425-1B": _olmo2(_shape(2048, 8192, 16, (16, 16, 128), 100352)),
    "1124-7B": _olmo2(_shape(4096, 11008, 32, (32, 32, 128), 100352)),
    "1124-13B": _olmo2(_shape(5120, 13824, 40, (40, 40, 128), 100352)),
    "0325-32B": _olmo2(_shape(5120, 27648, 64, (40, 8, 128), 100352)),
}
SMOLLM3 = {"3B": _tied(_shape(2048, 11008, 36, (16, 4, 128), 128256))}
GRANITE_3 = {
    "2b": _tied(_shape(2048, 8192, 40, (32, 8, 64), 49155)),
    "8b": _tied(_shape(4096, 12800, 40, (32, 8, 128), 49155)),
}
GRANITE_3_3 = {size: replace(shape, vocabulary=49159) for size, shape in GRANITE_3.items()}
_AYA_8B = _cohere(_shape(4096, 14336, 32, (32, 8, 128), 256000))
COHERE = {
    "8b": _AYA_8B,
    "r7b": replace(_AYA_8B, window=4096),
    "r": _cohere(_shape(8192, 24576, 40, (64, 8, 128), 256000)),
    "r-v01": _cohere(_shape(8192, 22528, 40, (64, 64, 128), 256000)),
}
