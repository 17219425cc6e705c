"""What a run takes, as `loray plan` and its kin print it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loray.cli.output import say, show_table
from loray.errors import ModelError
from loray.spec.run import ResourceSpec, RunSpec

if TYPE_CHECKING:
    from loray.planner.report import Forecast

GIB = 2**30
USUAL_NODE = 8
"""Workers of a node at most, where nothing else is known: as many GPUs as a node mostly has."""


def show(run: RunSpec, taken: "Forecast | str") -> None:
    """Print what a run takes, or why that is not known."""
    if isinstance(taken, str):
        say(taken)
    else:
        _tell(run, taken)


def forecast_or_reason(run: RunSpec, device_gib: float | None) -> "Forecast | str":
    """What a run takes, or why that cannot be told from this disk."""
    from loray.planner.report import forecast

    try:
        return forecast(run, device_gib=device_gib)
    except ModelError as error:
        return f"what it takes is not known: {error}"


def _tell(run: RunSpec, taken: "Forecast") -> None:
    from loray.planner.moments import largest

    share = taken.learned_parameters / taken.base_parameters
    words = f"{share:.2%}" if share < 1 else f"{share:.1f} times the base"
    say(
        f"parameters   {taken.base_parameters:,} in the base, {taken.learned_parameters:,} learn "
        f"({words})"
    )
    say(
        f"tokens       at most {taken.tokens_per_step:,} a step, {taken.tokens_in_all:,} in "
        f"{run.train.steps} steps; {taken.flops:.2g} FLOPs"
    )
    disk = in_units(taken.checkpoint_bytes)
    say(f"checkpoints  {taken.num_checkpoints}, {disk} until the run ends")
    if taken.adapter_bytes is not None:
        size = in_units(taken.adapter_bytes)
        say(f"adapter      a file of {taken.adapter_bytes:,} bytes ({size})")
    say()
    where = "its GPU" if run.resources.gpus_per_worker else "a CPU"
    _show_memory(f"one worker, on {where}", [(m.name, m.device) for m in taken.moments])
    if run.resources.gpus_per_worker:
        _show_memory("beside the GPU", [(m.name, m.host) for m in taken.moments])
        if any("mapped files" in moment.host for moment in taken.moments):
            say("mapped files are pages that the kernel takes back when memory is short")
    else:
        say("kept is an estimate: what glibc does not give back of memory that was freed")
    _say_node(run.resources, taken)
    say(f"serving replica: {in_units(sum(taken.serving.values()))}")
    if taken.fits is not None and taken.device_bytes is not None:
        verdict = "fits" if taken.fits else "does not fit"
        peak = largest(taken.moments)
        say(
            f"a worker {verdict} a device of {in_units(taken.device_bytes)}: at most "
            f"{in_units(peak.device_total)}, at {peak.name}"
        )
    for note in taken.notes:
        say(f"note: {note}")


def _say_node(resources: ResourceSpec, taken: "Forecast") -> None:
    """What the workers on one node need of its own memory together."""
    workers = min(resources.workers, USUAL_NODE)
    if workers == 1 and not resources.gpus_per_worker:
        return
    of_all = "" if workers == resources.workers else f" of the {resources.workers}"
    each = in_units(taken.host.total)
    count = "its worker" if workers == 1 else f"{workers}{of_all} workers, {each} each"
    held = in_units(workers * taken.host.total)
    say(f"a node with {count}: {held} of its own memory, at {taken.host.moment}")


def node_note(resources: ResourceSpec, taken: "Forecast", here: int) -> str | None:
    """That this machine has too little memory for the workers, where it is to run them.

    Args:
        here: bytes that it has.
    """
    needed = resources.workers * taken.host.total
    if needed <= here:
        return None
    return (
        f"this machine has {in_units(here)} of memory, and {resources.workers} worker(s) on it "
        f"need {in_units(needed)} at {taken.host.moment}; where they are to run on it, use a "
        "smaller setting or fewer workers, else see that each node has that much"
    )


def _show_memory(title: str, moments: Sequence[tuple[str, dict[str, float]]]) -> None:
    """What memory holds, a column for each moment; what is nowhere is left out."""
    fullest_first = sorted((sizes for _, sizes in moments), key=len, reverse=True)
    held = dict.fromkeys(name for sizes in fullest_first for name, size in sizes.items() if size)
    names = sorted(held, key=lambda name: name == "reserve")
    rows = [(name, *(_or_dash(sizes.get(name)) for _, sizes in moments)) for name in names]
    totals = ("in all", *(in_units(sum(sizes.values())) for _, sizes in moments))
    show_table((title, *(name for name, _ in moments)), [*rows, totals])
    say()


def _or_dash(size: float | None) -> str:
    return in_units(size) if size else "-"


def in_units(size: float) -> str:
    """Bytes as people read them."""
    if size < GIB / 10:
        return f"{size / 2**20:.1f} MiB"
    return f"{size / GIB:.2f} GiB"


def document_of(taken: "Forecast | str") -> dict[str, object]:
    """The same for programs; bytes where a name ends in them."""
    if isinstance(taken, str):
        return {"unknown": taken}
    return {
        "base_parameters": taken.base_parameters,
        "learned_parameters": taken.learned_parameters,
        "tokens_per_step": taken.tokens_per_step,
        "tokens_in_all": taken.tokens_in_all,
        "flops": taken.flops,
        "adapter_bytes": taken.adapter_bytes,
        "num_checkpoints": taken.num_checkpoints,
        "checkpoint_bytes": taken.checkpoint_bytes,
        "worker_bytes": taken.memory.components | {"total": taken.memory.total},
        "moments": {
            m.name: {"device_bytes": m.device, "host_bytes": m.host} for m in taken.moments
        },
        "serving_bytes": taken.serving,
        "host_bytes": {"at": taken.host.moment, "worker": taken.host.total},
        "device_bytes": taken.device_bytes,
        "fits": taken.fits,
        "notes": list(taken.notes),
    }
