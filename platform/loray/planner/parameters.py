"""Exact parameter counts of a decoder and of adapters on it, and what an adapter is put on."""

from collections.abc import Iterable
from dataclasses import dataclass

from loray.models.targets import target_names
from loray.planner.architecture import Architecture
from loray.spec.train import LoraMethod


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
    is_one = shape.is_tied and shape.has_embedding and shape.has_head
    matrices = 1 if is_one else shape.has_embedding + shape.has_head
    last_norm = shape.hidden if shape.has_head else 0
    beside = 0 if shape.listed is None else shape.listed.beside
    return BaseCount(
        linear=shape.layers * sum(inputs * outputs for inputs, outputs in linears.values()),
        other=shape.vocabulary * shape.hidden * matrices
        + shape.layers * (shape.norm_weights + biases)
        + last_norm
        + beside,
    )


def targets_of(shape: Architecture, method: LoraMethod) -> tuple[str, ...]:
    """The projections that get an adapter, by the last part of their names, sorted.

    Raises:
        UnsupportedError: the base has none of that name.
    """
    return target_names(method, shape.attention_shapes, shape.mlp_shapes)


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
    linears, targets = shape.linear_shapes, targets_of(shape, method)
    factors = sum(
        method.rank_of(shape.module_name(layer, name)) * sum(linears[name])
        for layer in shape.layer_numbers
        for name in targets
    )
    is_there = {"embed_tokens": shape.has_embedding, "lm_head": shape.has_head}
    return AdapterCount(
        factors=factors,
        magnitudes=count_outputs(shape, targets) if method.dora else 0,
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
            return tuple(name for name in shape.biased if name in targets_of(shape, method))
        case "all":
            return shape.biased


def count_outputs(shape: Architecture, targets: Iterable[str]) -> int:
    """Outputs of all targeted projections together."""
    return shape.layers * sum(shape.linear_shapes[name][1] for name in targets)
