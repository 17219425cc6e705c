"""Adapter files to weights that fit into a slot; nothing is taken on trust.

Runs in the thread that asks for the load, never in the engine's own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from loray.errors import AdapterError
from loray.inference.lora import AdapterWeights, LayerWeights
from loray.inference.own import TableUpdate
from loray.models.adapter import MAGNITUDE, AdapterFiles, read_adapter
from loray.models.adapter_tensors import (
    A_PART,
    B_PART,
    BIASES,
    EMBEDDING_A,
    EMBEDDING_B,
    PREFIX,
    WEIGHT_PART,
    module_and_part,
)
from loray.models.dora import dense_weight, row_norms


class Layer(Protocol):
    """What is asked of a layer that an adapter wants to change."""

    base: nn.Linear
    num_inputs: int
    num_outputs: int
    max_rank: int


class Table(Protocol):
    """What is asked of an embedding or output projection that an adapter brings in full."""

    @property
    def weight(self) -> Tensor:
        """(V, H)."""


class Stack(Protocol):
    """Where adapters go."""

    @property
    def layers(self) -> Mapping[str, Layer]:
        """By their dotted names."""

    @property
    def tables(self) -> Mapping[str, Table]:
        """By their dotted names."""

    @property
    def like(self) -> Tensor:
        """Of the type and on the device of A and B."""


def read_weights(folder: Path, stack: Stack) -> AdapterWeights:
    """A, B times alpha / r, a DoRA's gains and biases of each layer; modules in full.

    Raises:
        AdapterError: the files are damaged or unsafe, the adapter is for another base model, its
            rank is too high, or its numbers have no meaning over it.
    """
    files = read_adapter(folder)
    parts: dict[str, set[str]] = {}
    for tensor in files.tensors:
        module, part = module_and_part(tensor)
        parts.setdefault(module, set()).add(part)
    found, in_full, updates, like = {}, {}, {}, stack.like
    for name in sorted(parts):
        if name in stack.tables and WEIGHT_PART not in parts[name]:
            updates[name] = _table_update(name, parts[name], files, stack)
            continue
        if parts[name] == {WEIGHT_PART}:
            in_full[name] = _in_full(name, files.tensors[f"{PREFIX}{name}.{WEIGHT_PART}"], stack)
            continue
        layer = _layer(name, stack.layers)
        update = _update(name, files, layer, like) if A_PART in parts[name] else _none(layer, like)
        bias = next((part for part in BIASES if part in parts[name]), None)
        if bias is not None:
            update = update._replace(
                bias=_bias(name, files.tensors[f"{PREFIX}{name}.{bias}"], layer)
            )
        found[name] = update
    return AdapterWeights(found, in_full, updates)


def _table_update(name: str, parts: set[str], files: AdapterFiles, stack: Stack) -> TableUpdate:
    """Of a LoRA on the embedding, whose A PEFT keeps as (r, V), or on the output projection."""
    rows, columns = stack.tables[name].weight.shape
    of_embedding = {EMBEDDING_A, EMBEDDING_B}
    if parts not in ({A_PART, B_PART}, of_embedding):
        raise AdapterError(
            f"the adapter brings {', '.join(sorted(parts))} for {name!a:.120}; an embedding or "
            "output projection is served with a plain LoRA or in full; leave it out of the targets"
        )
    is_embedding = parts == of_embedding
    inputs, outputs = (rows, columns) if is_embedding else (columns, rows)
    names = (EMBEDDING_A, EMBEDDING_B) if is_embedding else (A_PART, B_PART)
    a, b = (files.tensors[f"{PREFIX}{name}.{part}"] for part in names)
    rank = files.config.rank(name)
    if (tuple(a.shape), tuple(b.shape)) != ((rank, inputs), (outputs, rank)):
        raise AdapterError(
            f"the adapter has A {tuple(a.shape)} and B {tuple(b.shape)} at {name}, which is "
            f"{(rows, columns)} in this base model; load it over the base that it was trained on"
        )
    scaled = b.float() * files.config.scaling(name)
    like = stack.like
    return TableUpdate(a.T.to(like).contiguous(), scaled.T.to(like).contiguous())


def _in_full(name: str, weight: Tensor, stack: Stack) -> Tensor:
    own = stack.tables[name].weight if name in stack.tables else None
    if own is None or weight.shape != own.shape:
        has = "no such module" if own is None else f"{tuple(own.shape)} there"
        raise AdapterError(
            f"the adapter brings {name!a:.120} in full, {tuple(weight.shape)}, this base model has "
            f"{has}; load it over the base that it was trained on"
        )
    return weight.to(own.device, own.dtype)


def _layer(name: str, layers: Mapping[str, Layer]) -> Layer:
    if name not in layers:
        raise AdapterError(
            f"the adapter changes {name!a:.120}, which this base model has no linear layer for; "
            "load it over the base model that it was trained on"
        )
    return layers[name]


def _none(layer: Layer, like: Tensor) -> LayerWeights:
    """Of a layer of which an adapter changes the bias alone."""
    return LayerWeights(like.new_zeros(layer.num_inputs, 0), like.new_zeros(0, layer.num_outputs))


def _bias(name: str, bias: Tensor, layer: Layer) -> Tensor:
    own = layer.base.bias
    if own is None or bias.shape != own.shape:
        has = "none" if own is None else f"one {tuple(own.shape)}"
        raise AdapterError(
            f"the adapter has a bias {tuple(bias.shape)} for {name}, this base model has {has} "
            "there; load it over the base that it was trained on"
        )
    return bias.to(own.device).float()


def _update(name: str, files: AdapterFiles, layer: Layer, like: Tensor) -> LayerWeights:
    a, b = (files.tensors[f"{PREFIX}{name}.{part}"] for part in (A_PART, B_PART))
    rank = files.config.rank(name)
    if rank > layer.max_rank:
        raise AdapterError(
            f"the adapter has rank {rank} at {name}, a slot holds at most {layer.max_rank}; "
            "raise max_rank, or train or truncate the adapter to a lower rank"
        )
    wanted = (rank, layer.num_inputs), (layer.num_outputs, rank)
    if (tuple(a.shape), tuple(b.shape)) != wanted:
        raise AdapterError(
            f"the adapter has A {tuple(a.shape)} and B {tuple(b.shape)} at {name}, this base model "
            f"wants {wanted[0]} and {wanted[1]}; load it over the base that it was trained on"
        )
    scaled = b.float() * files.config.scaling(name)
    gain = None
    if files.config.use_dora:
        gain = _gain(name, files.tensors[f"{PREFIX}{name}{MAGNITUDE}"], layer, (a, scaled))
        scaled = scaled.to(gain.device) * gain[:, None]
    return LayerWeights(a.T.to(like.dtype).contiguous(), scaled.T.to(like.dtype).contiguous(), gain)


def _gain(name: str, magnitude: Tensor, layer: Layer, update: tuple[Tensor, Tensor]) -> Tensor:
    norms = row_norms(dense_weight(layer.base), update)
    gain = magnitude.to(norms) / norms
    if not bool(torch.isfinite(gain).all()):
        raise AdapterError(
            f"the adapter is a DoRA, and an output of {name} has no weights to be scaled in this "
            "base model; load it over the base that it was trained on"
        )
    return gain
