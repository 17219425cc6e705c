"""Bytes that one worker needs, by what they hold.

Legend: `P` parameters that learn, `n` workers, `w` bytes of a number in the type of computation.

Model states follow from closed forms. Activations depend on kernels and allocator; their form here
counts what autograd keeps in a decoder layer of transformers 5, and lies within 8% of published
peaks of LitGPT and PEFT (`tests/planner/test_published.py`).
"""

from dataclasses import dataclass

from loray.planner.parameters import (
    Architecture,
    count_adapter,
    count_base,
    count_method,
    count_outputs,
)
from loray.spec.run import RunSpec
from loray.spec.train import NF4_BLOCK, BaseModelSpec, LoraMethod

GIB = 2**30
WIDTH = {"bfloat16": 2, "float32": 4}
"""Bytes of a number."""

SCALE_BLOCK = 256
"""Scales that share one scale of their own, in double quantization."""
NF4_BITS = 4 + 8 / NF4_BLOCK + 32 / (NF4_BLOCK * SCALE_BLOCK)
"""Bits a weight with double quantization: 4.127."""

STATE_BYTES = {"master weight": 4, "first moment": 4, "second moment": 4, "gradient": 4}
"""What Adam holds of a parameter in float32; ZeRO shares it out. Source: arXiv:1910.02054."""
EIGHT_BIT_MOMENT = 1 + 4 / 256
"""Bytes of a moment in 8 bits, with its share of a scale. Source: arXiv:2110.02861, sec. 2.1."""

REDUCE_BUCKET = 500_000_000
"""Gradients that DeepSpeed averages at once (`reduce_bucket_size`)."""
RESERVE_BYTES = {"gpu": 1.0 * GIB, "cpu": 0.7 * GIB}
"""CUDA's context, workspaces and gaps between blocks; on a CPU, Python with torch and Ray."""


@dataclass(frozen=True, kw_only=True)
class WorkerMemory:
    """Bytes on one worker's device at the peak of a step."""

    weights: float
    """The base model."""
    adapter: float
    gradients: float
    optimizer: float
    activations: float
    """What the backward pass reads, the logits of every position included."""
    buffers: float
    """Gradients on their way between workers, and the largest weight while it is unpacked."""
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
    """What one training worker needs."""
    width = WIDTH[spec.base_model.dtype]
    learned = count_learned(spec, shape)
    sharing = spec.resources.workers
    stage = _zero_stage(spec)
    tokens = spec.train.batch.micro_size * spec.data.sequence.max_tokens
    return WorkerMemory(
        weights=weight_bytes(spec.base_model, shape),
        adapter=_adapter_bytes(spec, learned),
        gradients=learned * width / (sharing if stage == 2 else 1),
        optimizer=learned * state_bytes(spec) / (sharing if stage > 0 else 1),
        activations=activation_bytes(
            shape, tokens, width, recompute=spec.train.gradient_checkpointing
        )
        + _dora_bytes(spec, shape, tokens),
        buffers=_buffer_bytes(spec, shape, learned),
        reserve=RESERVE_BYTES["gpu" if spec.resources.gpus_per_worker else "cpu"],
    )


def state_bytes(spec: RunSpec) -> float:
    """Bytes that the optimizer holds of a parameter; paged ones may leave the device."""
    saved = 0.0
    if spec.train.optimizer.kind != "adamw":
        moments = STATE_BYTES["first moment"] + STATE_BYTES["second moment"]
        saved = moments - 2 * EIGHT_BIT_MOMENT
    return sum(STATE_BYTES.values()) - saved


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
    """The base model in memory, whole on every worker: ZeRO up to 2 does not shard it."""
    count, width = count_base(shape), WIDTH[model.dtype]
    bits = NF4_BITS if model.quantization == "nf4" else 8 * width
    return count.linear * bits / 8 + count.other * width


def activation_bytes(shape: Architecture, tokens: int, width: int, *, recompute: bool) -> float:
    """What is kept for the backward pass of `tokens` tokens.

    In a layer: the inputs and outputs of the norms, and a float32 copy of each norm's input unless
    it is that already; q, the attention's output and k, v as heads read them; gate, up, its
    activation and their product.
    Recomputing keeps a layer's input, and one layer whole while it is computed again.
    """
    query, key = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    numbers = 4 * shape.hidden + 4 * query + 2 * key + 4 * shape.intermediate
    copies = 0 if width == WIDTH["float32"] else 2 * shape.hidden * WIDTH["float32"]
    layer = tokens * (numbers * width + copies)
    logits = tokens * shape.vocabulary * (width + 4 + 4)  # as computed, in float32, its gradient
    if recompute:
        return shape.layers * tokens * shape.hidden * width + layer + logits
    return shape.layers * layer + logits


def _adapter_bytes(spec: RunSpec, learned: int) -> float:
    """A and B, and of PiSSA what they began as."""
    if not isinstance(spec.method, LoraMethod):
        return 0.0
    copies = 2 if spec.method.init == "pissa" else 1
    return float(copies * learned * WIDTH[spec.base_model.dtype])


def _dora_bytes(spec: RunSpec, shape: Architecture, tokens: int) -> float:
    """What a DoRA keeps besides: the base's outputs and the update's, which the gains multiply.

    With dropout it passes the inputs through the base's weights once more, and out of NF4 it keeps
    those until the backward pass.
    """
    method, width = spec.method, WIDTH[spec.base_model.dtype]
    if not isinstance(method, LoraMethod) or not method.dora:
        return 0.0
    linears = [shape.linear_shapes[name] for name in method.target_modules]
    kept = tokens * 2 * sum(outputs for _, outputs in linears)
    if method.dropout and spec.base_model.quantization == "nf4":
        kept += sum(inputs * outputs for inputs, outputs in linears)
    return float(kept * width * (1 if spec.train.gradient_checkpointing else shape.layers))


def _buffer_bytes(spec: RunSpec, shape: Architecture, learned: int) -> float:
    width = WIDTH[spec.base_model.dtype]
    is_shared = spec.resources.workers > 1 and _zero_stage(spec) > 0
    bucket = min(learned, REDUCE_BUCKET) * width if is_shared else 0
    largest = max(inputs * outputs for inputs, outputs in shape.linear_shapes.values())
    unpacked = largest * width if spec.base_model.quantization == "nf4" else 0
    return bucket + unpacked + _norm_numbers(spec, shape) * width


def _norm_numbers(spec: RunSpec, shape: Architecture) -> int:
    """What PEFT makes to take the norms of a DoRA's largest module.

    A unit matrix of its inputs, which it passes through A and B, and B A, its scaled form and
    its sum with W0, each as large as W0.
    """
    if not isinstance(spec.method, LoraMethod) or not spec.method.dora:
        return 0
    linears = [shape.linear_shapes[name] for name in spec.method.target_modules]
    return max(inputs * (inputs + 3 * outputs) for inputs, outputs in linears)


def serve_memory(spec: RunSpec, shape: Architecture) -> dict[str, float]:
    """Bytes on one serving replica: the base, its adapter slots, its cache of keys and values."""
    width = WIDTH[spec.base_model.dtype]
    slot = count_adapter(shape, shape.linear_shapes, spec.serve.max_rank) * width
    if isinstance(spec.method, LoraMethod) and spec.method.dora:
        slot += count_outputs(shape, shape.linear_shapes) * WIDTH["float32"]  # gains
    cached = spec.serve.max_batch * spec.serve.max_context
    keys = 2 * shape.layers * shape.kv_heads * shape.head_size * width
    return {
        "weights": weight_bytes(spec.base_model, shape),
        "slots": float(spec.serve.slots * slot),
        "cache": float(cached * keys),
        "reserve": RESERVE_BYTES["gpu" if spec.resources.gpus_per_worker else "cpu"],
    }
