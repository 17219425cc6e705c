"""`loray plan`: what would run and why, and what it takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.exits import Exit
from loray.cli.looked_into import load_looked_into
from loray.cli.options import Number, json_option, set_option, spec_argument
from loray.cli.output import emit_json, say, show_table
from loray.errors import ModelError
from loray.spec.run import RunSpec

if TYPE_CHECKING:
    from loray.pipeline.plan import Plan, StageState
    from loray.planner.report import Forecast

GIB = 2**30


@click.command()
@spec_argument
@set_option
@json_option
@click.option(
    "--device-gib",
    type=Number(min=0, min_open=True),
    metavar="GIB",
    help="Memory of one worker's device: say whether a worker fits, and what to change if not.",
)
@click.option(
    "--device",
    metavar="NAME[:COUNT]",
    help="What if: COUNT workers with a device of that kind each, such as a100-80g:4, whatever "
    "lies on this disk; well-known base models go by their hub id.",
)
def plan(
    spec: Path,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    device_gib: float | None,
    device: str | None,
) -> Exit:
    """Say what would run and why, and what it takes; starts nothing.

    Ends with 5 when a worker does not fit the device that was asked about.
    """
    if device is not None:
        return _what_if(spec, overrides, device, as_json=as_json, device_gib=device_gib)
    from loray.pipeline.plan import make_plan, passes_over
    from loray.planner.notes import passes_words

    run, looked = load_looked_into(spec, overrides)
    made = make_plan(run)
    taken = forecast_or_reason(run, device_gib)
    passes = passes_over(made.stages[0].statistics, run)
    if as_json:
        document = {"stages": _stages(made), "forecast": _document(taken), "looked_into": looked}
        emit_json({"name": run.name, **document, "passes_over_data": passes})
        return _exit_of(taken)
    show_table(
        ("stage", "state", "artifact", "why"),
        [(s.stage.kind, _in_a_word(s), s.stage.folder, s.why) for s in made.stages],
    )
    say()
    _show(run, taken)
    told = [passes_words(passes)] if passes is not None else []
    for note in [*told, *looked]:
        say(f"note: {note}")
    return _exit_of(taken)


def _exit_of(taken: "Forecast | str") -> Exit:
    does_fit = isinstance(taken, str) or taken.fits is not False
    return Exit.DONE if does_fit else Exit.DOES_NOT_FIT


def _in_a_word(state: "StageState") -> str:
    if state.damage is not None:
        return "damaged"
    return "fresh" if state.is_fresh else "to make"


def _what_if(
    spec: Path,
    overrides: tuple[str, ...],
    device: str,
    *,
    as_json: bool,
    device_gib: float | None,
) -> Exit:
    """What the spec would take on other devices than these, from its text alone."""
    from loray.pipeline.probe import look_at_base
    from loray.planner.devices import UTILIZATION, name_of, parse_devices
    from loray.planner.stages import busy_share
    from loray.spec.load import load_run_spec, refusal_of

    if device_gib is not None:
        raise click.UsageError("give --device or --device-gib, not both")
    kind, count = parse_devices(device)
    wide = (
        f"resources.workers={count}",
        "resources.min_workers=null",
        "resources.gpus_per_worker=1",
    )
    run = load_run_spec(spec, [*overrides, *wide])
    if findings := look_at_base(run).findings:
        raise refusal_of(spec, [*overrides, *wide], findings)
    taken = forecast_or_reason(run, kind.gib)
    hours = None
    if not isinstance(taken, str):
        hours = kind.hours(taken.flops, count, dtype=run.base_model.dtype)
        hours = None if hours is None else hours / busy_share(run)
    if as_json:
        emit_json({"name": run.name, "forecast": _document(taken), "hours": hours})
        return _exit_of(taken)
    _show(run, taken)
    if (full := name_of(kind)) not in (None, device.partition(":")[0]):
        say(f"device       {full}, {kind.gib:.1f} GiB: what {device.partition(':')[0]} stands for")
    if hours is None:
        say("time         not known but for base_model.dtype: bfloat16 on Ampere and later")
    else:
        say(f"time         about {hours:.2g} hours at {UTILIZATION:.0%} of the devices' peak")
    return _exit_of(taken)


def _show(run: RunSpec, taken: "Forecast | str") -> None:
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
    say(
        f"parameters   {taken.base_parameters:,} in the base, {taken.learned_parameters:,} learn "
        f"({share:.2%})"
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
    if run.resources.workers > 1:
        when, held = taken.node
        say(f"a node of {run.resources.workers} workers: {in_units(held)} of memory, at {when}")
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


def _stages(made: "Plan") -> list[dict[str, object]]:
    return [
        {
            "kind": state.stage.kind,
            "artifact": state.stage.folder,
            "fingerprint": state.stage.fingerprint,
            "fresh": state.is_fresh,
            "why": state.why,
        }
        for state in made.stages
    ]


def _document(taken: "Forecast | str") -> dict[str, object]:
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
        "node_bytes": {"at": taken.node[0], "total": taken.node[1]},
        "device_bytes": taken.device_bytes,
        "fits": taken.fits,
        "notes": list(taken.notes),
    }
