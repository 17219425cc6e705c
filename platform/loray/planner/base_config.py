"""What is wrong with a base model's `config.json`, all of it at once."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loray.models.adapter_config import CONFIG_NAME
from loray.models.decoder_types import DECODER_TYPES
from loray.models.support import TESTED, support_of
from loray.planner.base_rope import rope_faults
from loray.planner.base_values import value_faults

Config = Mapping[str, Any]

LARGEST = 1 << 24
"""No model has a size, or a number of layers or tokens, beyond it."""
_SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
)  # fmt: skip
_EVEN = ("llama", "gemma2", "gemma3_text")
"""Types that refuse a hidden size that the heads do not divide, though they have a `head_dim`."""
_MAY_LACK = ("num_key_value_heads", "head_dim", "max_position_embeddings")
_STORED = ("float32", "float16", "bfloat16", "float64")
_CAUSAL = ("ForCausalLM", "LMHeadModel", "Model")
"""Ends of names of classes whose files are a decoder, with a head or without."""


def config_faults(config: Config, folder: Path) -> Iterator[str]:
    """Why a base cannot be used, from its config alone: found; wanted; what to do."""
    yield from _quantization_faults(config)
    support = support_of({k: v for k, v in config.items() if k != "quantization_config"})
    if not (support.trainable and support.servable):
        yield (
            f"found a base model of type {config.get('model_type')!a}, which loray can neither "
            f"train nor serve: {'; '.join(support.reasons)}; use one of {', '.join(TESTED)}"
        )
        return  # its other numbers have names of their own
    yield from _class_faults(config)
    sizes = list(_size_faults(config))
    yield from sizes
    if support.is_tested and not sizes:
        yield from _relation_faults(config)
        yield from value_faults(config)
    if not sizes:
        yield from rope_faults(config)
    yield from _token_faults(config)
    stored = config.get("dtype", config.get("torch_dtype"))
    if stored is not None and stored not in _STORED:
        yield (
            f"{folder}/config.json says dtype {stored!a}; wanted one of {', '.join(_STORED)}; "
            "fetch the model again"
        )


def beside_faults(folder: Path) -> Iterator[str]:
    """Files beside the config at which transformers would fail, or load another model."""
    if (folder / CONFIG_NAME).exists():
        yield (
            f"the folder holds an {CONFIG_NAME}, too: transformers would load that adapter, over "
            "the base that it names, in the place of this model; move the adapter into a folder of "
            "its own"
        )
    path = folder / "generation_config.json"
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # transformers goes on without it
    if not isinstance(found, dict):
        yield f"{path.name} is not a JSON object; fetch it again, or remove it"


def _class_faults(config: Config) -> Iterator[str]:
    names = config.get("architectures")
    if names is None or names == []:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield "config.json has architectures that are not a list of names; fetch the model again"
        return
    found = str(names[0]) if names else ""
    if not any(name.endswith(_CAUSAL) for name in names):
        yield (
            f"found a {found} (architectures in config.json); wanted a causal language model, "
            "such as LlamaForCausalLM; a classifier's or embedder's files have no output "
            "projection to learn text with; use the model that it was made from"
        )
    elif all(_is_of_another_type(name, str(config["model_type"])) for name in names):
        kind = config["model_type"]
        yield (
            f"config.json names the class {found!a:.60} (architectures), but the model_type "
            f"{kind}, of which transformers makes a {DECODER_TYPES[kind].causal_lm}; wanted both "
            "of one model; correct the one that is wrong, or fetch it again"
        )


def _is_of_another_type(name: str, kind: str) -> bool:
    """Whether a class is one of another type; a name of somebody's own may hold the type's."""
    own = _stem(DECODER_TYPES[kind].causal_lm)
    stem = _stem(name)
    known = {_stem(found.causal_lm) for found in DECODER_TYPES.values()}
    return stem != own and (stem in known or own not in stem)


def _stem(name: str) -> str:
    """What comes before `ForCausalLM`, in small letters."""
    end = next((end for end in _CAUSAL if name.endswith(end)), "")
    return name.removesuffix(end).lower()


def _quantization_faults(config: Config) -> Iterator[str]:
    for name in ("quantization_config", "compression_config"):
        given = config.get(name)
        if given is None:
            continue
        kind = given.get("quant_method", "unknown") if isinstance(given, Mapping) else "unknown"
        yield (
            f"its weights are quantized already ({kind!a}, {name} in config.json); wanted plain "
            "ones; name the model that it was quantized from, with base_model.quantization: nf4 to "
            "hold it in 4 bits"
        )


def _size_faults(config: Config) -> Iterator[str]:
    """Sizes that are missing, for which transformers would take those of a giant, or impossible."""
    for name in (*_SIZES, *_MAY_LACK):
        value = config.get(name)
        if value is None:
            if name in _SIZES:
                yield f"config.json lacks {name}; wanted a whole number; fetch the model again"
        elif type(value) is not int or not 1 <= value <= LARGEST:
            yield (
                f"config.json has {name} {value!a:.40}; wanted a whole number from 1 to "
                f"{LARGEST:,}; fetch the model again"
            )
    for name in ("rms_norm_eps", "rope_theta"):
        value = config.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and math.isfinite(value) and value > 0):
            yield f"config.json has {name} {value!a:.40}; wanted a number above 0; fetch it again"


def _relation_faults(config: Config) -> Iterator[str]:
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    pairs = config.get("num_key_value_heads") or heads
    if heads % pairs:
        yield (
            f"config.json has {heads} num_attention_heads and {pairs} num_key_value_heads; wanted "
            "a multiple; fetch the model again"
        )
    size = config.get("head_dim")
    if hidden % heads and (size is None or config["model_type"] in _EVEN):
        yield (
            f"config.json has hidden_size {hidden}, which {heads} heads do not divide, and "
            + ("no head_dim" if size is None else "its type asks for it")
            + "; fetch the model again"
        )
    if (size or hidden // heads) % 2:
        yield (
            f"config.json has heads of size {size or hidden // heads}; rotary embeddings need an "
            "even one; fetch the model again"
        )


def _token_faults(config: Config) -> Iterator[str]:
    vocabulary = config.get("vocab_size")
    if type(vocabulary) is not int or vocabulary < 1:
        return
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        given = config.get(name)
        if isinstance(given, list) and name != "eos_token_id":
            yield f"config.json has {name} {given!a:.40}; wanted one id; correct it"
            continue
        least = -vocabulary if name == "pad_token_id" else 0  # Llama's first files have a pad of -1
        for value in given if isinstance(given, list) else [given]:
            if value is not None and (type(value) is not int or not least <= value < vocabulary):
                yield (
                    f"config.json has {name} {value!a:.40}, beyond the {vocabulary} rows of the "
                    "embedding (vocab_size); wanted an id below; correct it, or fetch the model "
                    "again"
                )
