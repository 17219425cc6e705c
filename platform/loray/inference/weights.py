"""Adapter files to weights that fit into a slot; nothing is taken on trust.

Runs in the thread that asks for the load, never in the engine's own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from loray.errors import AdapterError
from loray.models.adapter import AdapterFiles, read_adapter

PREFIX = "base_model.model."
"""What PEFT puts before a module's name."""
PARTS = (".lora_A.weight", ".lora_B.weight")


class Layer(Protocol):
    """What is asked of a layer that an adapter wants to change."""

    num_inputs: int
    num_outputs: int
    max_rank: int


def read_weights(
    folder: Path, layers: Mapping[str, Layer], like: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """A (inputs, r) and B (r, outputs) times alpha / r, by layer name, of `like`'s type.

    Raises:
        AdapterError: the files are damaged or unsafe, the adapter is for another base model, its
            rank is too high, or it does more than A and B.
    """
    files = read_adapter(folder)
    if files.config.use_dora:
        raise AdapterError(
            f"the adapter in {folder.name} is a DoRA, whose magnitudes the engine does not apply; "
            "merge it into its base model, or train it without use_dora"
        )
    a_part = PARTS[0]
    found = [name for name in files.tensors if name.endswith(a_part)]  # each has its B: checked
    names = [name.removeprefix(PREFIX).removesuffix(a_part) for name in found]
    return {name: _fit(name, files, _layer(name, layers), like) for name in sorted(names)}


def _layer(name: str, layers: Mapping[str, Layer]) -> Layer:
    if name not in layers:
        raise AdapterError(
            f"the adapter changes {name!a:.120}, which this base model has no linear layer for; "
            "load it over the base model that it was trained on"
        )
    return layers[name]


def _fit(name: str, files: AdapterFiles, layer: Layer, like: Tensor) -> tuple[Tensor, Tensor]:
    a, b = (files.tensors[f"{PREFIX}{name}{part}"] for part in PARTS)
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
    scaled = b.float().T * files.config.scaling(name)
    return a.T.to(like.dtype).contiguous(), scaled.to(like.dtype).contiguous()
