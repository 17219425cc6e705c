"""The shape of a base model of a type that is not tested, from the headers of its weights.

Its parameters are counted to the unit, since all of them are in the files. Activations are counted
as a Llama's with as many norms, which is an estimate.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loray.errors import ModelError, UnsupportedError
from loray.models.base_weights import read_base_weights
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
    return _architecture(config, sizes, layers[0])


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
