"""What a run will take, told before it starts: parameters, memory, tokens, whether it fits."""

from dataclasses import dataclass

from loray.planner.adapter_file import adapter_file_bytes
from loray.planner.architecture import Architecture
from loray.planner.families import architecture_for
from loray.planner.forms import checkpoint_bytes
from loray.planner.memory import GIB, WorkerMemory, count_learned, train_memory
from loray.planner.moments import HostPeak, Moment, host_peak, largest, worker_moments
from loray.planner.notes import notes_of
from loray.planner.parameters import count_base
from loray.planner.serving import serve_memory
from loray.planner.widths import WIDTH
from loray.spec.run import RunSpec


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a spec asks of each machine."""

    base_parameters: int
    learned_parameters: int
    memory: WorkerMemory
    """Of one training worker at the peak of a step."""
    moments: tuple[Moment, ...]
    """Of the same, on its device and on its host, loading and saving included."""
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
    host: HostPeak
    """Of one worker in its node's own memory, beside its GPU if it has one."""
    adapter_bytes: int | None
    """Of the file with an adapter's weights; None for a full training."""
    notes: tuple[str, ...]
    """What to know or change."""

    @property
    def fits(self) -> bool | None:
        """Whether a worker always fits the device; None when no device was named."""
        if self.device_bytes is None:
            return None
        return largest(self.moments).device_total <= self.device_bytes


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
    moments = worker_moments(spec, shape)
    learned = count_learned(spec, shape)
    train, sequence = spec.train, spec.data.sequence
    checkpoints = -(-train.steps // train.checkpoint_every)
    device = None if device_gib is None else device_gib * GIB
    tokens = train.steps * train.batch.global_size * sequence.max_tokens
    return Forecast(
        base_parameters=count_base(shape).total,
        learned_parameters=learned,
        memory=train_memory(spec, shape),
        moments=moments,
        serving=serve_memory(spec, shape),
        tokens_per_step=train.batch.global_size * sequence.max_tokens,
        tokens_in_all=tokens,
        flops=tokens * flops_per_token(spec, shape),
        num_checkpoints=checkpoints,
        checkpoint_bytes=checkpoints
        * checkpoint_bytes(spec, shape, learned, WIDTH[spec.base_model.dtype]),
        device_bytes=device,
        host=host_peak(moments),
        adapter_bytes=adapter_file_bytes(spec, shape),
        notes=tuple(notes_of(spec, shape, moments, device)),
    )


def flops_per_token(spec: RunSpec, shape: Architecture) -> float:
    """Two for every weight that a token is multiplied with, in each pass over the model.

    A pass forward, one back to the activations, one to the weights where they learn, and another
    forward where activations are recomputed. Attention between tokens is left out: at 2,048 tokens
    it adds 3% to an 8B Llama. Source: arXiv:2204.02311, appendix B.
    """
    head = shape.hidden * shape.vocabulary
    weights = count_base(shape).linear + head
    passes = 2 + (spec.method.kind == "full") + spec.train.gradient_checkpointing
    learns_head = spec.method.kind == "lora" and "lm_head" in spec.method.modules_to_save
    return 2.0 * (passes * weights + (head if learns_head else 0))
