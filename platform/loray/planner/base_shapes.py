"""What is wrong with a base model's weights, from the headers of its files alone.

`H` hidden size, `V` vocabulary.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from loray.models.base_modules import EMBEDDING, HEAD, PREFIX, with_prefix
from loray.models.base_weights import NUMBER_BYTES, BaseTensor
from loray.planner.architecture import Architecture

_SHOWN = 3
_LIKE_LLAMA = ("input_layernorm", "post_attention_layernorm")
_LIKE_GEMMA = (*_LIKE_LLAMA, "pre_feedforward_layernorm", "post_feedforward_layernorm")
_NORMS: Mapping[str, tuple[str, ...]] = {
    "gemma2": _LIKE_GEMMA,
    "gemma3_text": _LIKE_GEMMA,
    "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "cohere": ("input_layernorm",),
    "cohere2": ("input_layernorm",),
}
"""Names of the norms in a layer, where they are not Llama's."""
_BUFFERS = ("rotary_emb.inv_freq", ".masked_bias", ".attn.bias", ".attention.bias")
"""Ends of names of what old files hold beside weights; it is worked out anew."""
_SAMPLE_BYTES = 1 << 20
_EMBEDDING_NAME, _HEAD_NAME = f"{PREFIX}{EMBEDDING}.weight", f"{HEAD}.weight"


def weight_faults(
    tensors: Mapping[str, BaseTensor], shape: Architecture, kind: str
) -> Iterator[str]:
    """Weights that are missing, of another shape or type, or beyond what the config says.

    Args:
        kind: the `model_type`, one that is tested.
    """
    named = {with_prefix(name, tensors): tensor for name, tensor in tensors.items()}
    wanted = expected(shape, kind)
    missing = sorted(wanted.keys() - named.keys())
    if missing:
        yield (
            f"its files lack {_some(missing)}; wanted every weight of the model; fetch or save it "
            "again"
        )
    yield from _shape_faults(named, wanted)
    yield from type_faults(named)
    yield from _left_out(named, wanted, shape, kind)
    if shape.is_tied:
        yield from _tie_faults(named)


def expected(shape: Architecture, kind: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes (outputs, inputs) of the weights that a model of this shape must have."""
    found: dict[str, tuple[int, ...]] = {_EMBEDDING_NAME: (shape.vocabulary, shape.hidden)}
    if not shape.is_tied:
        found[_HEAD_NAME] = (shape.vocabulary, shape.hidden)
    found[f"{PREFIX}norm.weight"] = (shape.hidden,)
    for layer in shape.layer_numbers:
        for name, (inputs, outputs) in shape.linear_shapes.items():
            module = shape.module_name(layer, name)
            found[f"{module}.weight"] = (outputs, inputs)
            if name in shape.biased:
                found[f"{module}.bias"] = (outputs,)
        of_layer = f"{PREFIX}layers.{layer}."
        norms = _NORMS.get(kind, _LIKE_LLAMA)
        found |= {f"{of_layer}{norm}.weight": (shape.hidden,) for norm in norms}
        found |= {
            f"{of_layer}self_attn.{name}_norm.weight": size
            for name, size in _head_norms(shape, kind).items()
        }
    return found


def _head_norms(shape: Architecture, kind: str) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the norms of queries and keys."""
    if shape.head_norms == "none":
        return {}
    if shape.head_norms == "shared":
        return {"q": (shape.head_size,), "k": (shape.head_size,)}
    if kind == "cohere":
        return {"q": (shape.heads, shape.head_size), "k": (shape.kv_heads, shape.head_size)}
    return {"q": (shape.query_size,), "k": (shape.key_size,)}


def _left_out(
    named: Mapping[str, BaseTensor],
    wanted: Mapping[str, tuple[int, ...]],
    shape: Architecture,
    kind: str,
) -> Iterator[str]:
    """Weights that transformers would leave out: of more layers, biases, and of another type."""
    numbers = {name: re.match(rf"{re.escape(PREFIX)}layers\.(\d+)\.", name) for name in named}
    beyond = [n for n, found in numbers.items() if found and int(found[1]) >= shape.layers]
    if beyond:
        yield (
            f"its files hold {beyond[0]}, but config.json has {shape.layers} layers "
            "(num_hidden_layers), 0 to "
            f"{shape.layers - 1}: the last ones would be left out; correct config.json"
        )
    linears = {name.removesuffix(".weight") for name, size in wanted.items() if len(size) == 2}
    more = [f"{name}.bias" for name in sorted(linears)]
    biases = [name for name in more if name in named and name not in wanted]
    if biases:
        yield (
            f"its files hold {_some(biases)}, but by config.json the model has no such biases: "
            "they would be left out; correct config.json (attention_bias, mlp_bias, model_type), "
            "or fetch both again"
        )
    others = sorted(
        name
        for name in named.keys() - wanted.keys() - {*beyond, *biases}
        if name.startswith(PREFIX) and not name.endswith(_BUFFERS)
    )
    if others:
        yield (
            f"its files hold {_some(others)}, which a model of type {kind!r} does not have: they "
            "would be left out; correct model_type in config.json, or fetch both again"
        )


def _shape_faults(
    named: Mapping[str, BaseTensor], wanted: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    wrong = [n for n, size in wanted.items() if n in named and named[n].shape != size]
    if wrong:
        name = wrong[0]
        more = f" ({len(wrong) - 1} more are of other shapes, too)" if len(wrong) > 1 else ""
        yield (
            f"{named[name].path.name} holds {name} of shape {named[name].shape}; config.json wants "
            f"{wanted[name]}{more}; fetch both again, or correct config.json"
        )


def type_faults(named: Mapping[str, BaseTensor]) -> Iterator[str]:
    """Weights that are packed, or stored in 8 bits."""
    odd = sorted(name for name, tensor in named.items() if tensor.dtype not in NUMBER_BYTES)
    weights = [name for name in odd if not name.endswith(("inv_freq", "masked_bias", ".bias"))]
    if weights:
        first = named[weights[0]]
        yield (
            f"{first.path.name} holds {weights[0]} as {first.dtype} ({len(weights)} weights are "
            f"such); wanted {', '.join(NUMBER_BYTES)}; name the model that it was quantized from"
        )


def _tie_faults(named: Mapping[str, BaseTensor]) -> Iterator[str]:
    """An output projection of its own that transformers would leave out without a word."""
    head, embedding = named.get(_HEAD_NAME), named.get(_EMBEDDING_NAME)
    if head is None or embedding is None:
        return
    same = (head.shape, head.dtype) == (embedding.shape, embedding.dtype)
    if not same or _sample(head) != _sample(embedding):
        yield (
            f"config.json says tie_word_embeddings, but {head.path.name} holds a {_HEAD_NAME} "
            "that differs from the embedding: it would be left out; set tie_word_embeddings to "
            "false in config.json, or fetch the model again"
        )


def _sample(tensor: BaseTensor) -> bytes:
    with Path(tensor.path).open("rb") as stream:
        stream.seek(tensor.start)
        return stream.read(min(_SAMPLE_BYTES, NUMBER_BYTES.get(tensor.dtype, 1) * tensor.shape[0]))


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
