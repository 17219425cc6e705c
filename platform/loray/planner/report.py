"""What a run will take, told before it starts: parameters, memory, tokens, whether it fits."""

from collections.abc import Iterator
from dataclasses import dataclass

from loray.planner.families import architecture_for
from loray.planner.memory import GIB, WIDTH, WorkerMemory, count_learned, serve_memory, train_memory
from loray.planner.parameters import Architecture, count_base
from loray.spec.overrides import path_of, with_value
from loray.spec.run import RunSpec

FULL_TRAINING_LIMIT = 1_000_000_000
"""Parameters above which training every weight is rarely what one wants."""
STATE_WIDTH = 12
"""Bytes a parameter in a checkpoint's resume state: float32 weight and two moments."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a spec asks of each machine."""

    base_parameters: int
    learned_parameters: int
    memory: WorkerMemory
    """Of one training worker."""
    serving: dict[str, float]
    """Bytes of one serving replica, by what they hold."""
    tokens_per_step: int
    """At most: sequences that are not full hold fewer."""
    tokens_in_all: int
    flops: float
    """Multiplications and additions of the whole training, what is recomputed included."""
    num_checkpoints: int
    checkpoint_bytes: float
    """Of all checkpoints together."""
    device_bytes: float | None
    """Of the device that was asked about."""
    notes: tuple[str, ...]
    """What to know or change."""

    @property
    def fits(self) -> bool | None:
        """Whether a worker fits the device; None when no device was named."""
        return None if self.device_bytes is None else self.memory.total <= self.device_bytes


def forecast(spec: RunSpec, *, device_gib: float | None = None) -> Forecast:
    """What `spec` takes, from its numbers and the base model's `config.json` alone.

    Well-known models need not be on the disk: `loray.planner.families`.

    Args:
        device_gib: memory of one worker's device, GiB.

    Raises:
        ModelError: the config is not on this disk, or of a kind that cannot be counted.
    """
    return forecast_for(spec, architecture_for(spec.base_model), device_gib=device_gib)


def forecast_for(
    spec: RunSpec, shape: Architecture, *, device_gib: float | None = None
) -> Forecast:
    """The same for a base model of a known shape."""
    memory = train_memory(spec, shape)
    learned = count_learned(spec, shape)
    train, sequence = spec.train, spec.data.sequence
    checkpoints = -(-train.steps // train.checkpoint_every)
    device = None if device_gib is None else device_gib * GIB
    tokens = train.steps * train.batch.global_size * sequence.max_tokens
    return Forecast(
        base_parameters=count_base(shape).total,
        learned_parameters=learned,
        memory=memory,
        serving=serve_memory(spec, shape),
        tokens_per_step=train.batch.global_size * sequence.max_tokens,
        tokens_in_all=tokens,
        flops=tokens * flops_per_token(spec, shape),
        num_checkpoints=checkpoints,
        checkpoint_bytes=float(
            checkpoints * learned * (WIDTH[spec.base_model.dtype] + STATE_WIDTH)
        ),
        device_bytes=device,
        notes=tuple(_notes(spec, shape, device)),
    )


def flops_per_token(spec: RunSpec, shape: Architecture) -> float:
    """Two for every weight that a token is multiplied with, in each pass over the model.

    A pass forward, one back to the activations, one to the weights where they learn, and another
    forward where activations are recomputed. Attention between tokens is left out: at 2,048 tokens
    it adds 3% to an 8B Llama. Source: arXiv:2204.02311, appendix B.
    """
    weights = count_base(shape).linear + shape.hidden * shape.vocabulary
    passes = 2 + (spec.method.kind == "full") + spec.train.gradient_checkpointing
    return 2.0 * passes * weights


def _notes(spec: RunSpec, shape: Architecture, device: float | None) -> Iterator[str]:
    count = count_base(shape).total
    if spec.method.kind == "full" and count > FULL_TRAINING_LIMIT:
        yield (
            f"method.kind is full on {count / 1e9:.1f}B parameters; above 1B an adapter learns "
            "about as well for a hundredth of the memory; use method.kind: lora"
        )
    missing = 0.0 if device is None else train_memory(spec, shape).total - device
    if missing > 0:
        remedy = nearest_that_fits(spec, shape, device or 0.0)
        needs = f"a worker needs {missing / GIB:.1f} GiB more than its device has"
        yield f"{needs}; {remedy or 'no setting of this spec fits; use a smaller base model'}"


def nearest_that_fits(spec: RunSpec, shape: Architecture, device: float) -> str | None:
    """Settings that make a worker fit, those that leave the result alone first; None if none."""
    changes: dict[str, object] = {}
    for path, value in _savings(spec):
        changes[path] = value
        spec = _with(spec, path, value)
        if train_memory(spec, shape).total <= device:
            return "set " + ", ".join(f"{name}={value}" for name, value in changes.items())
    return None


def _savings(spec: RunSpec) -> Iterator[tuple[str, object]]:
    """Changes that save memory: first those that leave the result alone, then those that do not."""
    if spec.train.batch.micro_size > 1:
        yield "train.batch.micro_size", 1
    if not spec.train.gradient_checkpointing:
        yield "train.gradient_checkpointing", True
    if spec.base_model.dtype == "float32":
        yield "base_model.dtype", "bfloat16"
    if spec.method.kind == "full":
        return
    if spec.base_model.quantization == "none":
        yield "base_model.quantization", "nf4"
    length = spec.data.sequence.max_tokens
    while length > 256:
        length //= 2
        yield "data.sequence.max_tokens", length


def _with(spec: RunSpec, path: str, value: object) -> RunSpec:
    """A copy of `spec` with one field changed, its rules checked again."""
    return RunSpec.model_validate(with_value(spec.model_dump(), path_of(path), value))
