"""The moments of a worker's life at which its memory peaks: loading, a step, a checkpoint.

A worker with a GPU has two memories, the GPU's and its host's; without one both are the same.
"""

from dataclasses import dataclass

from loray.planner.architecture import Architecture
from loray.planner.forms import count_begun, moment_bytes
from loray.planner.loading import HOST_RESERVE, loading_sizes
from loray.planner.memory import (
    MASTER_BYTES,
    SUM_BYTES,
    count_learned,
    held_weights,
    optimizer_bytes,
    train_memory,
)
from loray.planner.sharing import offloaded, sharing_of
from loray.planner.widths import WIDTH
from loray.spec.run import RunSpec


@dataclass(frozen=True)
class Moment:
    """Bytes by what they hold, at one moment."""

    name: str
    """`loading`, `step` or `checkpoint`."""
    device: dict[str, float]
    """On the GPU; on a machine without one, in its memory."""
    host: dict[str, float]
    """In the memory of a GPU's machine; empty without a GPU."""

    @property
    def device_total(self) -> float:
        """Bytes on the device."""
        return sum(self.device.values())


def largest(moments: tuple[Moment, ...]) -> Moment:
    """The moment at which a device holds most."""
    return max(moments, key=lambda moment: moment.device_total)


@dataclass(frozen=True)
class HostPeak:
    """The moment at which a worker holds most of its node's own memory."""

    moment: str
    total: float
    """Bytes, without the pages of mapped files, which the kernel takes back."""


def host_peak(moments: tuple[Moment, ...]) -> HostPeak:
    """What a node must have for each of its workers; without GPUs all of it is the node's."""
    held = {
        moment.name: sum((moment.host or moment.device).values())
        - moment.host.get("mapped files", 0.0)
        for moment in moments
    }
    name = max(held, key=lambda one: held[one])
    return HostPeak(name, held[name])


def worker_moments(spec: RunSpec, shape: Architecture) -> tuple[Moment, ...]:
    """What a training worker needs while it loads, at the peak of a step, and while it saves.

    Of an elastic run each moment with the number of workers at which it takes most. Mostly these
    are the fewest; but more stages of a pipeline have more micro-batches on their way.
    """
    least, most = spec.resources.fewest_workers, spec.resources.workers
    counts = sorted({least, min(least + 1, most), most})
    by_count = [_moments(_with(spec, count), shape) for count in counts]
    return tuple(largest(same) for same in zip(*by_count, strict=True))


def _with(spec: RunSpec, workers: int) -> RunSpec:
    """The run while it has so many workers."""
    resources = {"workers": workers, "min_workers": None}
    return spec.model_copy(update={"resources": spec.resources.model_copy(update=resources)})


def _moments(spec: RunSpec, shape: Architecture) -> tuple[Moment, ...]:
    on_gpu = bool(spec.resources.gpus_per_worker)
    learned = count_learned(spec, shape)
    loading = Moment("loading", *loading_sizes(spec, shape))
    step = train_memory(spec, shape).components
    resting = {
        "weights": step["weights"],
        "adapter": step["adapter"],
        "optimizer": step["optimizer"],
        "beginning": step["beginning"],
        "kept": step["kept"],
        "reserve": step["reserve"],
    }
    saving = _saved_bytes(spec, shape, learned)
    if not on_gpu:
        return (
            loading,
            Moment("step", step, {}),
            Moment("checkpoint", {**resting, "checkpoint": saving}, {}),
        )
    host = {
        "beginning": float(learned * MASTER_BYTES),
        "reserve": HOST_RESERVE,
        **_offloaded_bytes(spec, shape, learned),
    }
    return (
        loading,
        Moment("step", step, {**host, "vitals": _vitals_bytes(spec, learned)}),
        Moment("checkpoint", resting, {**host, "checkpoint": saving}),
    )


def _vitals_bytes(spec: RunSpec, learned: int) -> float:
    """The adapter before and after a step that is recorded, float32."""
    return 2.0 * learned * MASTER_BYTES if spec.method.kind == "lora" else 0.0


def _offloaded_bytes(spec: RunSpec, shape: Architecture, learned: int) -> dict[str, float]:
    """A worker's share of what waits on the host, and what Adam makes there as it steps.

    To it the share is one tensor, and on a CPU it makes two more of them; what it moved goes back
    in the type of computation.
    """
    waiting, share = offloaded(spec), learned / sharing_of(spec).optimizer
    there = SUM_BYTES + 2 * MASTER_BYTES + WIDTH[spec.base_model.dtype]
    found = {
        "optimizer": optimizer_bytes(spec, learned) + share * there,
        "parameters": held_weights(spec, shape),
    }
    return {name: size for name, size in found.items() if name in waiting}


def _saved_bytes(spec: RunSpec, shape: Architecture, learned: int) -> float:
    """A checkpoint on its way to the disk: float32 weights and moments in full, and what is saved.

    Every worker gathers the first. Worker 0 holds the second, too: an adapter is read back from
    the disk, and a whole model is another copy unless it is the float32 weights themselves.
    """
    is_same = spec.method.kind == "full" and spec.base_model.dtype == "float32"
    numbers = 0 if is_same else learned + count_begun(spec, shape)
    written = numbers * WIDTH[spec.base_model.dtype]
    return learned * (MASTER_BYTES + moment_bytes(spec)) + written
