"""What each strategy shares out between workers, and what it keeps on the host."""

from dataclasses import dataclass

from loray.planner.architecture import Architecture
from loray.planner.parameters import adapter_parts, count_base
from loray.planner.widths import WIDTH
from loray.spec.run import RunSpec
from loray.spec.train import (
    NF4_BLOCK,
    DeepSpeedStrategy,
    FsdpStrategy,
    LoraMethod,
    PipelineStrategy,
    PlainStrategy,
)

LIVE_NUMBERS = 1_000_000_000
"""Most numbers of weights that ZeRO 3 holds put together (`stage3_max_live_parameters`)."""
LAYERS_AT_ONCE = 2
"""FSDP2 has the layer that computes put together, and the next one on its way."""

SCALE_BLOCK = 256
"""Scales that share one scale of their own, in double quantization."""
SCALE_BITS = 8 / NF4_BLOCK + 32 / (NF4_BLOCK * SCALE_BLOCK)
"""Of a weight's scales, with double quantization."""


@dataclass(frozen=True)
class Sharing:
    """Into how many parts each is cut, one for every worker; 1 where every worker holds all."""

    weights: int = 1
    """The base, and what learns in the type of computation."""
    gradients: int = 1
    """As they come out of the backward pass."""
    optimizer: int = 1
    """Moments, float32 weights, and the sums of gradients that move them."""
    has_copies: bool = False
    """Whether float32 weights are copied even where the model's own are float32."""


def sharing_of(spec: RunSpec) -> Sharing:
    """What the spec's strategy does while workers are fewest, and shares largest.

    Source: arXiv:1910.02054; torch's `fully_shard`.
    """
    workers, strategy = spec.resources.fewest_workers, spec.train.strategy
    match strategy:
        case PlainStrategy() | PipelineStrategy():  # `loray.planner.stages` cuts the model itself
            return Sharing()
        case FsdpStrategy():
            return Sharing(workers, workers, workers)
        case DeepSpeedStrategy(zero_stage=stage):
            weights, gradients, optimizer = (workers if stage >= n else 1 for n in (3, 2, 1))
            return Sharing(weights, gradients, optimizer, has_copies=stage > 0)


def offloaded(spec: RunSpec) -> frozenset[str]:
    """What waits on the host; nothing where the worker has no GPU."""
    strategy = spec.train.strategy
    if isinstance(strategy, DeepSpeedStrategy) and spec.resources.gpus_per_worker:
        return frozenset(strategy.offload)
    return frozenset()


def count_in_full(spec: RunSpec, shape: Architecture) -> int:
    """Numbers outside of the layers that learn: beside an adapter, or in full training all."""
    method = spec.method
    if isinstance(method, LoraMethod):
        return adapter_parts(shape, method).in_full
    return count_base(shape).other


def outside_bytes(spec: RunSpec, shape: Architecture) -> float:
    """Embeddings and norms, which FSDP2 keeps put together over a pass, copies that learn too."""
    copies = count_in_full(spec, shape) if isinstance(spec.method, LoraMethod) else 0
    return float((count_base(shape).other + copies) * WIDTH[spec.base_model.dtype])


def shared_bytes(weights: float, spec: RunSpec, shape: Architecture) -> float:
    """A worker's share of some or all weights of `shape`; scales of 4-bit ones stay whole.

    Args:
        weights: bytes of all that is shared out.
    """
    shares = sharing_of(spec).weights
    is_packed = spec.base_model.quantization == "nf4"
    scales = count_base(shape).linear * SCALE_BITS / 8 if is_packed and shares > 1 else 0.0
    return (weights - scales) / shares + scales


def put_together_bytes(spec: RunSpec, shape: Architecture, whole: float) -> float:
    """Weights that a worker holds in full beside its share, while they are computed with.

    Args:
        whole: bytes of all weights as they are held.
    """
    if sharing_of(spec).weights == 1:
        return 0.0
    width = WIDTH[spec.base_model.dtype]
    if spec.train.strategy.kind == "fsdp":
        in_layers = whole - count_base(shape).other * width
        return outside_bytes(spec, shape) + LAYERS_AT_ONCE * in_layers / shape.layers
    packed = 1 if spec.base_model.quantization == "nf4" else width
    return min(whole, float(LIVE_NUMBERS * packed))
