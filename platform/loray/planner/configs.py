"""From a base model's `config.json` to its `Architecture`.

What a config leaves out is what transformers takes for its type.
Source: transformers 5, `models/<type>/{configuration,modeling}_<type>.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from loray.errors import ModelError, UnsupportedError
from loray.models.adapter_tensors import LFS_POINTER, LFS_REMEDY
from loray.models.decoder_types import TESTED_TYPES
from loray.models.identity import folder_of
from loray.models.support import TESTED, check_supported
from loray.planner.architecture import Architecture
from loray.planner.base_config import config_faults
from loray.planner.headers import architecture_by_headers
from loray.spec.train import BaseModelSpec

Config = Mapping[str, Any]

COUNTS = (
    "num_attention_heads", "hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size",
)  # fmt: skip
TIED = ("gemma", "gemma2", "gemma3_text", "cohere", "cohere2", "smollm3")
"""Types whose output projection is the embedding where the config says nothing of it."""
LAYER_NORMS = {"gemma2": 4, "gemma3_text": 4, "cohere": 1, "cohere2": 1}
NORM_KINDS: Mapping[str, Literal["wide rms", "layer"]] = {
    "gemma": "wide rms", "gemma2": "wide rms", "gemma3_text": "wide rms", "olmo2": "wide rms",
    "cohere": "layer", "cohere2": "layer",
}  # fmt: skip
WINDOWS = {"mistral": 4096, "gemma2": 4096, "gemma3_text": 4096, "cohere2": 4096}
"""Sliding windows where a config says nothing; null is none."""
WITHOUT_HEAD_SIZE = ("cohere2",)
"""Types that take no other size of a head than the hidden size over the heads."""
_QKV = ("q_proj", "k_proj", "v_proj")


def read_architecture(model: BaseModelSpec) -> Architecture:
    """The shape of a base model that is on this disk, as a folder or in the hub's cache.

    Raises:
        ModelError: its config is not here.
        UnsupportedError: it is of a kind that the planner cannot count, or false.
    """
    path = config_path(model)
    if not path.is_file():
        raise ModelError(
            f"found no {path}, so nothing can be counted; wanted the model's config.json; download "
            "the model, or correct base_model.path"
        )
    config = read_config(path)
    is_tested = check_supported(config).is_tested
    if faults := list(config_faults(config, path.parent)):
        raise UnsupportedError(f"the base model {path.parent} cannot be used: {'; '.join(faults)}")
    try:
        if is_tested:
            return architecture_of(config)
        return architecture_by_headers(config, path.parent)
    except KeyError as error:
        raise ModelError(
            f"{path} lacks {error}; wanted the config of one of {', '.join(TESTED)}; "
            "correct base_model.path"
        ) from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ModelError(
            f"{path} has something else where a number is wanted ({error}); fetch the model again"
        ) from error


def read_config(path: Path) -> Config:
    """What a `config.json` holds.

    Raises:
        ModelError: it cannot be read, or is no JSON object.
    """
    try:
        data = path.read_bytes()
        if data.startswith(LFS_POINTER):
            raise ModelError(f"{path}: {LFS_REMEDY}")
        found = json.loads(data.decode("utf-8"))  # as transformers reads it: UTF-8, without a mark
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON ({error}); fetch the model again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a JSON object; fetch the model again")
    return found


def config_path(model: BaseModelSpec) -> Path:
    """Where a model's `config.json` is, or would be, on this disk."""
    return folder_of(model.path, model.revision) / "config.json"


def architecture_of(config: Config) -> Architecture:
    """The shape that a `config.json` describes.

    Raises:
        UnsupportedError: another kind of model.
        KeyError: a number is missing.
        ValueError: one is none.
    """
    kind = config.get("model_type")
    check_supported(config)
    if kind not in TESTED:
        raise UnsupportedError(
            f"found a base model of type {kind!r}, which is counted by its files alone; wanted one "
            f"of {', '.join(TESTED)}; use one of these, or read the model's folder"
        )
    for name in COUNTS:
        if type(config[name]) is not int or config[name] < 1:
            raise ValueError(f"{name} is {config[name]!r}")
    heads = config["num_attention_heads"]
    return Architecture(
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads", TESTED_TYPES[kind].kv_heads) or heads,
        head_size=_head_size(kind, config, heads),
        vocabulary=config["vocab_size"],
        is_tied=bool(config.get("tie_word_embeddings", kind in TIED)),
        biased=_biased(kind, config),
        is_fused=kind == "phi3",
        layer_norms=LAYER_NORMS.get(kind, 2),
        norm_kind=NORM_KINDS.get(kind, "rms"),
        head_norms=_head_norms(kind, config),
        is_parallel=kind in ("cohere", "cohere2"),
        is_eager=kind == "gemma2",
        window=_window(kind, config),
        has_logit_cap=_has_logit_cap(kind, config),
        stored_type=config.get("dtype") or config.get("torch_dtype") or "float32",
    )


def _head_size(kind: str, config: Config, heads: int) -> int:
    given = (
        None if kind in WITHOUT_HEAD_SIZE else config.get("head_dim", TESTED_TYPES[kind].head_size)
    )
    return int(given or config["hidden_size"] // heads)


def _head_norms(kind: str, config: Config) -> Any:  # noqa: ANN401 (a literal)
    if kind in ("qwen3", "gemma3_text"):
        return "shared"
    return "own" if kind == "olmo2" or (kind == "cohere" and config.get("use_qk_norm")) else "none"


def _window(kind: str, config: Config) -> int | None:
    if kind in ("qwen2", "qwen3", "smollm3") and not config.get("use_sliding_window"):
        return None
    found = config.get("sliding_window", WINDOWS.get(kind))
    return found if kind in (*WINDOWS, "phi3", "qwen2", "qwen3", "smollm3") else None


def _has_logit_cap(kind: str, config: Config) -> bool:
    default = 30.0 if kind == "gemma2" else None
    return config.get("final_logit_softcapping", default) is not None


def _biased(kind: str, config: Config) -> tuple[str, ...]:
    if kind == "qwen2":
        return _QKV
    if kind in ("mistral", "phi3"):
        return ()
    biased = (*_QKV, "o_proj") if config.get("attention_bias") else ()
    has_mlp = kind in ("llama", "granite", "smollm3") and config.get("mlp_bias")
    return (*biased, "gate_proj", "up_proj", "down_proj") if has_mlp else biased
