"""Well-known models by their hub id, to plan for them where they are not on the disk.

A family's ids follow one rule each: `*` is a size, `{a,b}` one of several, such as a mirror's name
or an ending. Of each size `loray.planner.family_shapes` has the shape.
"""

import re
from collections.abc import Iterator

from loray.errors import ModelError
from loray.planner import family_shapes as of
from loray.planner.architecture import Architecture
from loray.planner.configs import config_path, read_architecture
from loray.planner.family_shapes import Shapes
from loray.planner.unknown_ids import is_hub_id, unknown_words
from loray.spec.train import BaseModelSpec


def _only(shapes: Shapes, *sizes: str) -> Shapes:
    return {size: shapes[size] for size in sizes}


def _but(shapes: Shapes, *sizes: str) -> Shapes:
    return {size: shape for size, shape in shapes.items() if size not in sizes}


_LLAMA_3_OLD = _only(of.LLAMA_3, "8B", "70B")
_LLAMA_3_1 = _only(of.LLAMA_3, "8B", "70B", "405B")
_DISTILLED = _only(of.QWEN2_5, "7B", "14B", "32B")
_GEMMA_1 = _only(of.GEMMA, "gemma-2b", "gemma-7b")
_GEMMA_2 = _but(of.GEMMA, "gemma-2b", "gemma-7b")

RULES: tuple[tuple[Shapes, str], ...] = (
    (of.LLAMA_2, "{meta-llama,NousResearch}/Llama-2-*{,-chat}-hf"),
    (_only(of.LLAMA_2, "7b", "13b"), "lmsys/vicuna-*-v1.5"),
    (of.CODE_LLAMA, "codellama/CodeLlama-*{,-Instruct}-hf"),
    (_LLAMA_3_OLD, "{meta-llama,NousResearch}/Meta-Llama-3-*{,-Instruct}"),
    (_only(of.LLAMA_3, "8B"), "unsloth/llama-3-8b{,-Instruct}"),
    (_LLAMA_3_1, "meta-llama/{,Meta-}Llama-3.1-*{,-Instruct}"),
    (_LLAMA_3_OLD, "{unsloth,NousResearch}/Meta-Llama-3.1-*{,-Instruct}"),
    (_LLAMA_3_OLD, "unsloth/Llama-3.1-*{,-Instruct}"),
    (_LLAMA_3_OLD, "NousResearch/Hermes-3-Llama-3.1-*"),
    (_only(of.LLAMA_3, "1B", "3B"), "{meta-llama,unsloth}/Llama-3.2-*{,-Instruct}"),
    (_only(of.LLAMA_3, "70B"), "{meta-llama,unsloth}/Llama-3.3-*-Instruct"),
    (_only(of.LLAMA_3, "70B"), "nvidia/Llama-3.1-Nemotron-*-Instruct-HF"),
    (_only(of.LLAMA_3, "8B"), "meta-llama/Llama-Guard-3-*"),
    (of.TINY_LLAMA, "TinyLlama/TinyLlama-*{-Chat-v1.0,-intermediate-step-1431k-3T}"),
    (of.YI, "01-ai/Yi-1.5-*{,-Chat}"),
    (_only(of.YI, "6B", "34B"), "01-ai/Yi-*{,-Chat}"),
    (_only(of.YI, "9B"), "01-ai/Yi-*"),
    (_only(of.DEEPSEEK, "coder-1.3b", "coder-6.7b"), "deepseek-ai/deepseek-*-{base,instruct}"),
    (_only(of.DEEPSEEK, "7b"), "deepseek-ai/deepseek-{llm-*-base,llm-*-chat}"),
    (_only(of.DEEPSEEK, "7b"), "deepseek-ai/deepseek-math-*-{base,instruct,rl}"),
    (of.FALCON_3, "tiiuae/Falcon3-*-{Base,Instruct}"),
    (of.EURO_LLM, "utter-project/EuroLLM-*{,-Instruct}"),
    (_only(of.MISTRAL, "7B-v0.1"), "mistralai/Mistral-{*,7B-Instruct-v0.1}"),
    (_only(of.MISTRAL, "7B-v0.1"), "HuggingFaceH4/zephyr-7b-{alpha,beta}"),
    (_only(of.MISTRAL, "7B-v0.2"), "mistralai/Mistral-7B-Instruct-v0.2"),
    (_only(of.MISTRAL, "7B-v0.2"), "unsloth/mistral-7b-instruct-v0.2"),
    (_only(of.MISTRAL, "7B-v0.3"), "mistralai/{Mistral-*,Mistral-7B-Instruct-v0.3}"),
    (_only(of.MISTRAL, "7B-v0.3"), "mistralai/Mathstral-7B-v0.1"),
    (_only(of.MISTRAL, "7B-v0.3"), "unsloth/mistral-7b-{v0.3,instruct-v0.3}"),
    (_only(of.MISTRAL, "8B"), "mistralai/Ministral-*-Instruct-2410"),
    (_only(of.MISTRAL, "Nemo"), "{mistralai,unsloth}/Mistral-*-{Base,Instruct}-2407"),
    (_only(of.MISTRAL, "Small"), "{mistralai,unsloth}/Mistral-*-24B-{Base,Instruct}-2501"),
    (_only(of.MISTRAL, "Large"), "mistralai/Mistral-*-Instruct-{2407,2411}"),
    (of.SMOLLM2, "HuggingFaceTB/SmolLM{,2}-*{,-Instruct}"),
    (of.SMOLLM2, "unsloth/SmolLM2-*{,-Instruct}"),
    (of.SMOLLM3, "HuggingFaceTB/SmolLM3-*{,-Base}"),
    (_only(of.QWEN2_5, "0.5B", "1.5B", "7B", "72B"), "Qwen/Qwen2-*{,-Instruct}"),
    (of.QWEN2_5, "{Qwen,unsloth}/Qwen2.5-*{,-Instruct}"),
    (_only(of.QWEN2_5, "7B", "14B"), "Qwen/Qwen2.5-*-Instruct-1M"),
    (_but(of.QWEN2_5, "72B"), "{Qwen,unsloth}/Qwen2.5-Coder-*{,-Instruct}"),
    (_only(of.QWEN2_5, "1.5B", "7B", "72B"), "Qwen/Qwen2{,.5}-Math-*{,-Instruct}"),
    (_only(of.QWEN2_5, "32B"), "Qwen/QwQ-*{,-Preview}"),
    (of.QWEN3, "{Qwen,unsloth}/Qwen3-*"),
    (_but(of.QWEN3, "32B"), "{Qwen,unsloth}/Qwen3-*-Base"),
    (_only(of.QWEN3, "4B"), "{Qwen,unsloth}/Qwen3-*-{Instruct,Thinking}-2507"),
    (of.R1_DISTILLED, "deepseek-ai/DeepSeek-R1-Distill-Qwen-*"),
    (_DISTILLED, "{deepseek-ai,unsloth}/DeepSeek-R1-Distill-Qwen-*"),
    (_LLAMA_3_OLD, "{deepseek-ai,unsloth}/DeepSeek-R1-Distill-Llama-*"),
    (_only(of.QWEN3, "8B"), "{deepseek-ai,unsloth}/DeepSeek-R1-0528-Qwen3-*"),
    (_GEMMA_1, "{google,unsloth}/*{,-it}"),
    (_only(of.GEMMA, "gemma-2b"), "google/{gemma-1.1-2b-it,codegemma-2b,codegemma-1.1-2b}"),
    (_only(of.GEMMA, "gemma-7b"), "google/{gemma-1.1-7b-it,codegemma-{,1.1-}7b-it,codegemma-7b}"),
    (_GEMMA_2, "google/*{,-it}"),
    (_but(_GEMMA_2, "gemma-2-27b"), "unsloth/*{,-it}"),
    (_only(of.GEMMA, "gemma-2-2b"), "google/*-jpn-it"),
    (of.GEMMA_3, "{google,unsloth}/gemma-3-*-it"),
    (_only(of.GEMMA_3, "1b"), "google/gemma-3-*-pt"),
    (_only(of.GEMMA_3, "270m"), "google/gemma-3-*"),
    (of.PHI_3_4K, "microsoft/Phi-3-*-4k-instruct"),
    (of.PHI_3, "microsoft/Phi-3-*-128k-instruct"),
    (_only(of.PHI_3, "mini"), "microsoft/Phi-3.5-*-instruct"),
    (_only(of.PHI_4, "phi-4"), "microsoft/{*,Phi-4-reasoning,Phi-4-reasoning-plus}"),
    (_only(of.PHI_4, "mini"), "microsoft/Phi-4-*-{instruct,reasoning}"),
    (of.OLMO_2, "allenai/OLMo-2-*{,-SFT,-DPO,-Instruct}"),
    (of.GRANITE_3, "ibm-granite/granite-3.{0,1}-*-{base,instruct}"),
    (of.GRANITE_3, "ibm-granite/granite-3.2-*-instruct"),
    (of.GRANITE_3_3, "ibm-granite/granite-3.3-*-{base,instruct}"),
    (_only(of.COHERE, "8b"), "{CohereForAI,CohereLabs}/{aya-expanse-*,aya-23-8B}"),
    (_only(of.COHERE, "r7b"), "{CohereForAI,CohereLabs}/c4ai-command-*-12-2024"),
    (_only(of.COHERE, "r7b"), "CohereLabs/c4ai-command-*-arabic-02-2025"),
    (_only(of.COHERE, "r"), "{CohereForAI,CohereLabs}/{aya-expanse-32b,c4ai-command-*-08-2024}"),
    (_only(of.COHERE, "r-v01"), "{CohereForAI,CohereLabs}/{aya-23-35B,c4ai-command-*}"),
)


def _ids_of(rule: str) -> Iterator[str]:
    """Every id that a rule stands for, `*` left in; innermost braces first."""
    found = re.search(r"\{([^{}]*)\}", rule)
    if found is None:
        yield rule
        return
    for choice in found[1].split(","):
        yield from _ids_of(rule[: found.start()] + choice + rule[found.end() :])


FAMILIES: Shapes = {
    hub_id.replace("*", size): shape
    for shapes, rule in RULES
    for hub_id in _ids_of(rule)
    for size, shape in shapes.items()
}
"""Shapes by hub id."""


def architecture_for(model: BaseModelSpec) -> Architecture:
    """The shape of a base model: what its files say, or else what is known by its hub id.

    Raises:
        ModelError: neither is there, or the files are of a kind that the planner cannot count.
    """
    if config_path(model).is_file():
        return read_architecture(model)
    if model.path in FAMILIES:
        return FAMILIES[model.path]
    if is_hub_id(model.path):
        raise ModelError(unknown_words(model.path, FAMILIES))
    return read_architecture(model)  # which says what is missing
