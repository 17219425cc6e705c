"""Exact parameter counts of Llama-like models and of adapters on them, from a `config.json`.

A decoder layer holds seven linear projections and two RMS norms; q, k, v, o map between the hidden
size and heads x head size, gate, up and down between the hidden and the intermediate size.
Source: transformers, `models/{llama,mistral,qwen2,qwen3}/modeling_*.py`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loray.errors import ModelError
from loray.spec.train import ATTENTION, BaseModelSpec, LoraMethod

KNOWN_TYPES = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The numbers of a `config.json` that shapes follow from."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    is_tied: bool
    """The output projection is the embedding, transposed."""
    biased: tuple[str, ...] = ()
    """Projections that have a bias."""
    has_head_norms: bool = False
    """q and k are normalised per head (Qwen3)."""
    stored_type: str = "bfloat16"
    """Of the numbers in its files."""
    first_layer: int = 0
    """The number of its first layer; a stage of a pipeline may begin later."""
    has_embedding: bool = True
    has_head: bool = True
    """The last norm and the output projection, which only the last stage of a pipeline has."""

    @property
    def layer_numbers(self) -> range:
        """The numbers of its layers in the whole model."""
        return range(self.first_layer, self.first_layer + self.layers)

    @property
    def linear_shapes(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of a layer's projections."""
        q, kv = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "q_proj": (self.hidden, q),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (q, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }


@dataclass(frozen=True)
class BaseCount:
    """Parameters of a base model, by what becomes of them."""

    linear: int
    """Weights of the projections in the layers: what NF4 quantizes."""
    other: int
    """Embedding, output projection, norms, biases: never quantized."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.linear + self.other


@dataclass(frozen=True)
class AdapterCount:
    """Parameters that learn with `method.kind: lora`, by what they are."""

    factors: int
    """A and B."""
    magnitudes: int
    """Of a DoRA."""
    biases: int
    """The base's own, which hold what is learned themselves."""
    in_full: int
    """Copies of the embedding or the output projection (`method.modules_to_save`)."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.factors + self.magnitudes + self.biases + self.in_full


def count_base(shape: Architecture) -> BaseCount:
    """Parameters of the base model."""
    linears = shape.linear_shapes
    biases = sum(linears[name][1] for name in shape.biased)
    norms = 2 * shape.hidden + (2 * shape.head_size if shape.has_head_norms else 0)
    is_one = shape.is_tied and shape.has_embedding and shape.has_head
    matrices = 1 if is_one else shape.has_embedding + shape.has_head
    last_norm = shape.hidden if shape.has_head else 0
    return BaseCount(
        linear=shape.layers * sum(inputs * outputs for inputs, outputs in linears.values()),
        other=shape.vocabulary * shape.hidden * matrices
        + shape.layers * (norms + biases)
        + last_norm,
    )


def count_adapter(shape: Architecture, targets: Iterable[str], rank: int) -> int:
    """Parameters of A (rank x inputs) and B (outputs x rank) on every targeted projection.

    Source: arXiv:2106.09685, section 4.1.
    """
    linears = shape.linear_shapes
    return shape.layers * sum(rank * sum(linears[name]) for name in targets)


def count_method(shape: Architecture, method: LoraMethod) -> int:
    """All that learns, whatever the form."""
    return adapter_parts(shape, method).total


def adapter_parts(shape: Architecture, method: LoraMethod) -> AdapterCount:
    """What learns, by what it is: ranks follow patterns.

    A DoRA learns a magnitude for each output. Source: arXiv:2402.09353, section 4.
    """
    linears = shape.linear_shapes
    factors = sum(
        method.rank_of(module_name(layer, name)) * sum(linears[name])
        for layer in shape.layer_numbers
        for name in method.target_modules
    )
    is_there = {"embed_tokens": shape.has_embedding, "lm_head": shape.has_head}
    return AdapterCount(
        factors=factors,
        magnitudes=count_outputs(shape, method.target_modules) if method.dora else 0,
        biases=count_outputs(shape, biases_of(shape, method)),
        in_full=shape.vocabulary
        * shape.hidden
        * sum(is_there[name] for name in set(method.modules_to_save)),
    )


def biases_of(shape: Architecture, method: LoraMethod) -> tuple[str, ...]:
    """Projections of which the bias learns."""
    match method.biases:
        case "none":
            return ()
        case "targets":
            return tuple(name for name in shape.biased if name in method.target_modules)
        case "all":
            return shape.biased


def count_outputs(shape: Architecture, targets: Iterable[str]) -> int:
    """Outputs of all targeted projections together."""
    return shape.layers * sum(shape.linear_shapes[name][1] for name in targets)


def module_name(layer: int, projection: str) -> str:
    """The dotted name of a projection in the base model."""
    part = "self_attn" if projection in ATTENTION else "mlp"
    return f"model.layers.{layer}.{part}.{projection}"


def read_architecture(model: BaseModelSpec) -> Architecture:
    """The shape of a base model that is on this disk, as a folder or in the hub's cache.

    Raises:
        ModelError: its config is not here, or is of a kind that the planner cannot count.
    """
    path = config_path(model)
    if not path.is_file():
        raise ModelError(
            f"found no {path}, so nothing can be counted; wanted the model's config.json; download "
            "the model, or correct base_model.path"
        )
    try:
        config = json.loads(path.read_bytes())
        return architecture_of(config)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not JSON ({error}); fetch the model again") from error
    except KeyError as error:
        raise ModelError(
            f"{path} lacks {error}; wanted the config of one of {', '.join(KNOWN_TYPES)}; "
            "correct base_model.path"
        ) from error


def config_path(model: BaseModelSpec) -> Path:
    """Where a model's `config.json` is, or would be, on this disk."""
    if Path(model.path).is_dir() or model.revision is None:
        return Path(model.path) / "config.json"
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folder = f"models--{model.path.replace('/', '--')}"
    return cache / folder / "snapshots" / model.revision / "config.json"


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The shape that a `config.json` describes.

    Raises:
        ModelError: another kind of model.
        KeyError: a number is missing.
    """
    kind = config.get("model_type")
    if kind not in KNOWN_TYPES:
        raise ModelError(
            f"found a base model of type {kind!r}; loray knows how to count, train and serve "
            f"{', '.join(KNOWN_TYPES)}; use one of these"
        )
    heads = config["num_attention_heads"]
    return Architecture(
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
        is_tied=bool(config.get("tie_word_embeddings", False)),
        biased=_biased(kind, config),
        has_head_norms=kind == "qwen3",
        stored_type=config.get("dtype") or config.get("torch_dtype") or "float32",
    )


def _biased(kind: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    attention = ("q_proj", "k_proj", "v_proj")
    if kind == "qwen2":
        return attention
    biased = (*attention, "o_proj") if config.get("attention_bias") else ()
    return (*biased, "gate_proj", "up_proj", "down_proj") if config.get("mlp_bias") else biased
