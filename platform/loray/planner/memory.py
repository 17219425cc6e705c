"""Bytes that one worker needs at the peak of a step, by what they hold.

A step has three peaks: where the loss begins to go back, with all activations; where all gradients
are there; and where the optimizer moves the weights. The greatest counts. What comes before and
after (loading, saving) is in `loray.planner.moments`.

Legend: `P` parameters that learn, `n` workers, `w` bytes of a number in the type of computation.

Model states follow from closed forms, activations from `loray.planner.activations`. Compared with
published figures in `tests/planner/test_published.py` and with measured ones in
`docs/measurements/memory.md`.
"""

from dataclasses import dataclass

from loray.planner.activations import activation_bytes
from loray.planner.architecture import Architecture
from loray.planner.forms import (
    count_begun,
    dora_activation_bytes,
    dora_norm_bytes,
    moment_bytes,
)
from loray.planner.kept import kept_bytes
from loray.planner.parameters import adapter_parts, count_base, count_method
from loray.planner.sharing import (
    SCALE_BITS,
    count_in_full,
    offloaded,
    outside_bytes,
    put_together_bytes,
    shared_bytes,
    sharing_of,
)
from loray.planner.stages import Part, parts_of
from loray.planner.widths import WIDTH, tokens_per_pass
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec, LoraMethod

GIB = 2**30
MIB = 2**20
Sizes = dict[str, float]
"""Bytes by what they hold."""

NF4_BITS = 4 + SCALE_BITS
"""Bits a weight: 4.127."""

MASTER_BYTES = 4
"""The float32 weight that Adam moves in a narrower one's stead. Source: arXiv:1910.02054."""
SUM_BYTES = 4
"""A gradient as the optimizer reads it, summed over micro-batches, float32."""

REDUCE_BUCKET = 500_000_000
"""Gradients that DeepSpeed averages at once at most (`reduce_bucket_size`)."""
RESERVE_BYTES = {"gpu": 1.0 * GIB, "cpu": 0.6 * GIB}
"""CUDA's context, workspaces and gaps between blocks; on a CPU, Python with torch and Ray."""


@dataclass(frozen=True, kw_only=True)
class WorkerMemory:
    """Bytes on one worker's device at one moment; without GPUs the device is the machine."""

    weights: float
    """The base model."""
    adapter: float
    gradients: float
    """Those that are held at the peak: of the micro-batches before, or all of them."""
    optimizer: float
    """Moments, and float32 copies of narrower weights."""
    activations: float
    """What the backward pass reads, a block of logits included."""
    buffers: float
    """Gradients on their way between workers, what the optimizer computes in between, the largest
    weight while it is unpacked."""
    beginning: float
    """What learns as it was before the first step, in float32, for the guard; beside a GPU it is on
    the host."""
    kept: float
    """On a CPU, what was freed and glibc did not give back: an estimate."""
    reserve: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.components.values())

    @property
    def components(self) -> dict[str, float]:
        """By name, in the order of the fields."""
        return dict(vars(self))


def train_memory(spec: RunSpec, shape: Architecture) -> WorkerMemory:
    """What one training worker needs at the peak of a step; of a pipeline's the one with most."""
    found = (_worker_memory(spec, part, shape) for part in parts_of(spec, shape))
    return max(found, key=lambda memory: memory.total)


def _worker_memory(spec: RunSpec, part: Part, whole: Architecture) -> WorkerMemory:
    """What a worker needs that computes with `part` of the model `whole`."""
    shape, on_gpu = part.shape, bool(spec.resources.gpus_per_worker)
    learned = count_learned(spec, shape)
    passes = _passes(spec, part, learned)
    ends = (_reduction(spec, shape, learned), _update(spec, shape, learned))
    peak = max(passes, *ends, key=lambda moment: sum(moment.values()))
    on_host = offloaded(spec)
    return WorkerMemory(
        weights=0.0 if "parameters" in on_host else held_weights(spec, shape),
        adapter=adapter_bytes(spec, shape, whole),
        optimizer=0.0 if "optimizer" in on_host else optimizer_bytes(spec, learned),
        beginning=0.0 if on_gpu else float(count_learned(spec, whole) * MASTER_BYTES),
        kept=0.0 if on_gpu else kept_bytes(spec, part, max(sum(end.values()) for end in ends)),
        reserve=RESERVE_BYTES["gpu" if on_gpu else "cpu"],
        **peak,
    )


def _passes(spec: RunSpec, part: Part, learned: int) -> Sizes:
    """Where the loss begins to go back: there are gradients of earlier micro-batches only."""
    shape, in_flight = part.shape, part.in_flight
    at_once = 1 if spec.train.gradient_checkpointing else in_flight
    held = learned * SUM_BYTES / sharing_of(spec).gradients
    width, tokens = WIDTH[spec.base_model.dtype], tokens_per_pass(spec)
    on_gpu = spec.resources.gpus_per_worker
    return {
        "gradients": held if spec.accumulation_steps > 1 else 0.0,
        "activations": activation_bytes(spec, shape, in_flight)
        + at_once * dora_activation_bytes(spec, shape, tokens, width),
        "buffers": (_bucket_bytes(spec, learned) if on_gpu else 0.0)
        + part.received * tokens * shape.hidden * width
        + _unpacked(spec, shape)
        + dora_norm_bytes(spec, shape, width)
        + put_together_bytes(spec, shape, weight_bytes(spec.base_model, shape)),
    }


def _reduction(spec: RunSpec, shape: Architecture, learned: int) -> Sizes:
    """The end of the backward pass: all gradients are there, the activations are gone.

    FSDP2 has what is outside of the layers put together still; of what learns of it the gradients
    in full, once more in float32 to average them.
    """
    width, outside = WIDTH[spec.base_model.dtype], 0.0
    if spec.train.strategy.kind == "fsdp" and sharing_of(spec).weights > 1:
        in_full = count_in_full(spec, shape)
        outside = outside_bytes(spec, shape) + in_full * (width + SUM_BYTES)
    return {
        "gradients": gradient_bytes(spec, learned),
        "activations": 0.0,
        "buffers": _bucket_bytes(spec, learned) + outside,
    }


def _update(spec: RunSpec, shape: Architecture, learned: int) -> Sizes:
    """Adam's step, with its roots of the second moments.

    On a GPU it takes all tensors at once and makes one number for each; on a CPU one tensor after
    another, and two. To ZeRO all of a worker's share is one tensor.
    """
    if "optimizer" in offloaded(spec):  # it moves them there
        return {"gradients": 0.0, "activations": 0.0, "buffers": 0.0}
    on_gpu, is_one = bool(spec.resources.gpus_per_worker), _zero_stage(spec) > 0
    share = learned / sharing_of(spec).optimizer
    at_once = share if on_gpu or is_one else _largest_learned(spec, shape)
    return {
        "gradients": share * SUM_BYTES,
        "activations": 0.0,
        "buffers": at_once * (4 if on_gpu else 8)
        + (_bucket_bytes(spec, learned) if on_gpu else 0.0),
    }


def _zero_stage(spec: RunSpec) -> int:
    """What is shared out between workers: nothing at 0."""
    strategy = spec.train.strategy
    return strategy.zero_stage if strategy.kind == "deepspeed" else 0


def count_learned(spec: RunSpec, shape: Architecture) -> int:
    """Parameters that training changes."""
    if spec.method.kind == "full":
        return count_base(shape).total
    return count_method(shape, spec.method)


def weight_bytes(model: BaseModelSpec, shape: Architecture) -> float:
    """The whole base model in memory."""
    count, width = count_base(shape), WIDTH[model.dtype]
    bits = NF4_BITS if model.quantization == "nf4" else 8 * width
    return count.linear * bits / 8 + count.other * width


def held_weights(spec: RunSpec, shape: Architecture) -> float:
    """A worker's share of it, which is all of `shape` but under ZeRO 3 and FSDP2.

    What learns under FSDP2 is there as the optimizer's float32 weights only.
    """
    is_master = spec.method.kind == "full" and spec.base_model.dtype != "float32"
    if is_master and spec.train.strategy.kind == "fsdp":
        return 0.0
    return shared_bytes(weight_bytes(spec.base_model, shape), spec, shape)


def adapter_bytes(spec: RunSpec, shape: Architecture, whole: Architecture) -> float:
    """The adapter in the type of computation, and of PiSSA what it began as.

    Full training has none, and FSDP2 makes it of the float32 weights, layer by layer. Biases that
    learn are the base's own, and counted there.

    Args:
        shape: what this worker computes with.
        whole: all of the model; every worker has what its adapter began as.
    """
    if not isinstance(spec.method, LoraMethod):
        return 0.0
    parts, width = adapter_parts(shape, spec.method), WIDTH[spec.base_model.dtype]
    kept = (parts.total - parts.biases) / sharing_of(spec).weights
    if spec.train.strategy.kind == "fsdp" and width != MASTER_BYTES:
        kept = 0.0
    return float((kept + count_begun(spec, whole)) * width)


def optimizer_bytes(spec: RunSpec, learned: int) -> float:
    """Adam's moments, and the float32 weights that it moves where the model's own are others.

    ZeRO keeps copies of float32 weights too, and shares all of it out. Source: arXiv:1910.02054.
    """
    shared = sharing_of(spec)
    has_copies = shared.has_copies or spec.base_model.dtype != "float32"
    moments = moment_bytes(spec)
    return learned * (moments + (MASTER_BYTES if has_copies else 0)) / shared.optimizer


def gradient_bytes(spec: RunSpec, learned: int) -> float:
    """All gradients of a step: as they come in the type of computation, and their float32 sums.

    ZeRO shares out the sums from stage 1 on and the others from 2 on: 2 P + 18 P / n with weights
    and optimizer at stage 2 in bfloat16, 4 P + 16 P / n at stage 1.
    """
    shared, width = sharing_of(spec), WIDTH[spec.base_model.dtype]
    sums_at_once = width == SUM_BYTES or spec.train.strategy.kind in ("fsdp", "pipeline")
    if _zero_stage(spec) == 0 and sums_at_once:
        return learned * SUM_BYTES / shared.gradients  # they are summed where they come
    if "optimizer" in offloaded(spec):  # shared ones go to the host as they come
        return float(learned * width) if shared.gradients == 1 else 0.0
    return learned * width / shared.gradients + learned * SUM_BYTES / shared.optimizer


def _bucket_bytes(spec: RunSpec, learned: int) -> float:
    """What DeepSpeed collects gradients in; on a CPU, the rest of it is counted elsewhere."""
    if _zero_stage(spec) == 0:
        return 0.0
    width = WIDTH[spec.base_model.dtype]
    if spec.resources.gpus_per_worker:
        return float(min(learned, REDUCE_BUCKET) * width)
    share = 1 - 1 / spec.resources.fewest_workers  # the rest is counted
    return min(learned, REDUCE_BUCKET) * width * share


def _unpacked(spec: RunSpec, shape: Architecture) -> float:
    """The largest weight, while it is not in NF4."""
    if spec.base_model.quantization == "none":
        return 0.0
    return float(largest_projection(shape) * WIDTH[spec.base_model.dtype])


def largest_projection(shape: Architecture) -> int:
    """Weights of the largest projection in a layer."""
    return max(inputs * outputs for inputs, outputs in shape.linear_shapes.values())


def _largest_learned(spec: RunSpec, shape: Architecture) -> int:
    """Numbers in the largest tensor that learns."""
    if spec.method.kind == "full":
        return max(_matrix(shape), largest_projection(shape))
    if spec.method.modules_to_save and _matrix(shape):
        return _matrix(shape)
    return spec.method.max_rank * max(shape.hidden, shape.intermediate)


def _matrix(shape: Architecture) -> int:
    """Numbers in the embedding or the output projection, if it has either."""
    return shape.vocabulary * shape.hidden * (shape.has_embedding or shape.has_head)
