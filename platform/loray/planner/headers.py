"""The shape of a base model of a type that is not tested, from the headers of its weights.

Its parameters are counted to the unit, since all of them are in the files. Activations are counted
as a Llama's with as many norms, which is an estimate.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loray.errors import ModelError, UnsupportedError
from loray.models.base_weights import BaseTensor, read_base_weights
from loray.models.decoder_types import DECODER_TYPES
from loray.planner.architecture import Architecture, Listed

IN_A_LAYER = re.compile(r"^(.*\blayers)\.(\d+)\.(.+)\.(weight|bias)$")

Sizes = dict[str, tuple[int, ...]]
"""Shapes of weights by name."""


def architecture_by_headers(config: Mapping[str, Any], folder: Path) -> Architecture:
    """The shape of the model in `folder`, of a type that nothing speaks against.

    Raises:
        ModelError: its weights are not there or cannot be read.
        UnsupportedError: it is not one layer after another, all of the same weights.
        KeyError: a number is missing in the config.
    """
    sizes = _sizes(folder)
    return _architecture(config, sizes, _layer_of(config, sizes))


def size_faults(config: Mapping[str, Any], tensors: Mapping[str, BaseTensor]) -> Iterator[str]:
    """Weights of another size than such a model's config says, or of which it says nothing.

    Raises:
        UnsupportedError: as `architecture_by_headers`.
    """
    sizes = {name: tensor.shape for name, tensor in tensors.items()}
    layer = _layer_of(config, sizes)
    hidden, rows = config["hidden_size"], config["vocab_size"]
    if (rows, hidden) not in sizes.values():
        yield (
            f"its files hold no embedding of shape {(rows, hidden)}, which config.json has by its "
            "vocab_size and hidden_size; correct it, or fetch both again"
        )
    linears = {n.split(".")[-2]: s for n, s in layer.items() if len(s) == 2}
    known = DECODER_TYPES[config["model_type"]]
    if set(linears) != set(known.linears):
        yield (
            f"its layers hold the linear layers {', '.join(linears)}; wanted those of type "
            f"{config['model_type']}: {', '.join(known.linears)}; correct model_type in "
            "config.json, or fetch both again"
        )
    inner = config["intermediate_size"]
    if not any(inner in size or 2 * inner in size for size in linears.values()):
        yield (
            f"config.json has intermediate_size {inner}, which no layer in its files has; correct "
            "it, or fetch both again"
        )
    heads = config["num_attention_heads"]
    size = config.get("head_dim", known.head_size) or hidden // heads
    keys = config.get("num_key_value_heads", known.kv_heads) or heads
    for name, wanted in (("q_proj", heads * size), ("k_proj", keys * size)):
        if name in linears and linears[name] != (wanted, hidden):
            yield (
                f"its files hold a {name} of shape {linears[name]}; wanted {(wanted, hidden)}, by "
                f"config.json's num_attention_heads {heads}, num_key_value_heads {keys} and "
                f"head_dim {size} (what is absent is what transformers takes for its type); "
                "correct config.json, or fetch both again"
            )


def _layer_of(config: Mapping[str, Any], sizes: Sizes) -> Sizes:
    """The weights of a layer, which all the others have, too."""
    layers = _by_layer(sizes) or [{}]
    kind, count = config.get("model_type"), config["num_hidden_layers"]
    names = [name.split(".")[-2] for name, size in layers[0].items() if len(size) == 2]
    is_alike = len(layers) == count and all(layer == layers[0] for layer in layers)
    if not is_alike or len(set(names)) < len(names):
        raise UnsupportedError(
            f"found a base model of type {kind!r}, whose files do not hold {count} layers with the "
            "same weights each and a name for each linear layer, so that they cannot be counted; "
            "use another base model"
        )
    return layers[0]


def _architecture(config: Mapping[str, Any], sizes: Sizes, layer: Sizes) -> Architecture:
    """Of a model whose weights have these `sizes`, all layers alike."""
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    vocabulary, count = config["vocab_size"], config["num_hidden_layers"]
    linears = {n.removesuffix(".weight"): s for n, s in layer.items() if len(s) == 2}
    biases = sum(math.prod(layer.get(f"{name}.bias", (0,))) for name in linears)
    others = sum(map(math.prod, layer.values())) - sum(map(math.prod, linears.values()))
    tables = [n for n, s in sizes.items() if s == (vocabulary, hidden) and "layers" not in n]
    in_layers = count * sum(map(math.prod, layer.values()))
    outside = sum(map(math.prod, sizes.values())) - in_layers
    return Architecture(
        hidden=hidden,
        intermediate=config.get("intermediate_size") or max(s[0] for s in linears.values()),
        layers=count,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or hidden // heads,
        vocabulary=vocabulary,
        is_tied=len(tables) == 1,
        biased=tuple(n.rpartition(".")[2] for n in linears if f"{n}.bias" in layer),
        layer_norms=max(1, sum(s == (hidden,) for n, s in layer.items() if _is_norm(n, linears))),
        window=config.get("sliding_window"),
        stored_type=config.get("dtype") or config.get("torch_dtype") or "float32",
        listed=Listed(
            stem=next(m[1] for name in sizes if (m := IN_A_LAYER.match(name))),
            linears=tuple((n, size[1], size[0]) for n, size in linears.items()),
            norm_weights=others - biases,
            beside=outside - len(tables) * vocabulary * hidden - hidden,
        ),
    )


def _is_norm(name: str, linears: Mapping[str, object]) -> bool:
    return name.endswith(".weight") and name.removesuffix(".weight") not in linears


def _by_layer(sizes: Sizes) -> list[Sizes]:
    """The weights of each layer, by the names that they have in it."""
    found: dict[int, Sizes] = {}
    for name, size in sizes.items():
        if match := IN_A_LAYER.match(name):
            found.setdefault(int(match[2]), {})[f"{match[3]}.{match[4]}"] = size
    return [dict(sorted(found[number].items())) for number in sorted(found)]


def _sizes(folder: Path) -> Sizes:
    weights = read_base_weights(folder)
    if weights.faults:
        raise ModelError(
            "a base model of a type that is not in the tested list is counted by its weights, and "
            f"those in {folder} cannot be read: {'; '.join(weights.faults)}"
        )
    return {name: tensor.shape for name, tensor in weights.tensors.items()}
