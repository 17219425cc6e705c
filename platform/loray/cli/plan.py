"""`loray plan`: what would run and why, and what it takes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.exits import Exit
from loray.cli.forecasts import document_of, forecast_or_reason, node_note, show
from loray.cli.looked_into import load_looked_into
from loray.cli.options import Number, json_option, set_option, spec_argument
from loray.cli.output import emit_json, say, show_table
from loray.errors import SpecError
from loray.machines.memory import memory_here
from loray.spec.run import RunSpec

if TYPE_CHECKING:
    from loray.pipeline.plan import Plan, StageState
    from loray.planner.report import Forecast


@click.command()
@spec_argument
@set_option
@json_option
@click.option(
    "--device-gib",
    type=Number(min=0, min_open=True),
    metavar="GIB",
    help="Memory of one worker's device: say whether a worker fits, and what to change if not. "
    "Neither the rows nor a well-known base model need be on this disk.",
)
@click.option(
    "--device",
    metavar="NAME[:COUNT]",
    help="What if: COUNT workers with a device of that kind each, such as h100:4 or 96gib:4, "
    "whatever lies on this disk; well-known base models go by their hub id.",
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

    Ends with 5 when a worker does not fit the device that was asked about, and with 1 when that
    cannot be told.
    """
    if device is not None:
        if device_gib is not None:
            raise click.UsageError("give --device or --device-gib, not both")
        return _on_devices(spec, overrides, device, as_json=as_json)
    try:
        run, looked = load_looked_into(spec, overrides)
    except SpecError as error:
        if device_gib is None:
            raise
        return _without_files(spec, overrides, error, as_json=as_json, device_gib=device_gib)
    return _with_files(run, looked, as_json=as_json, device_gib=device_gib)


def _with_files(
    run: RunSpec, looked: list[str], *, as_json: bool, device_gib: float | None
) -> Exit:
    """What would run, and what it takes, where all that the spec names is here."""
    from loray.pipeline.passes import passes_of
    from loray.pipeline.plan import make_plan
    from loray.planner.notes import passes_words

    made = make_plan(run)
    taken = forecast_or_reason(run, device_gib)
    passes = passes_of(made, run)
    if as_json:
        document = {"stages": _stages(made), "forecast": document_of(taken), "looked_into": looked}
        over = None if passes is None else passes.times
        emit_json({"name": run.name, **document, "passes_over_data": over})
        return _exit_of(taken, is_asked=device_gib is not None)
    show_table(
        ("stage", "state", "artifact", "why"),
        [(s.stage.kind, _in_a_word(s), s.stage.folder, s.why) for s in made.stages],
    )
    say()
    show(run, taken)
    told = [] if passes is None else [passes_words(passes.times, is_estimate=passes.is_estimate)]
    if not isinstance(taken, str) and not os.environ.get("RAY_ADDRESS"):
        told += [node_note(run.resources, taken, memory_here()) or ""]
    for note in [*filter(None, told), *looked]:
        say(f"note: {note}")
    return _exit_of(taken, is_asked=device_gib is not None)


def _exit_of(taken: "Forecast | str", *, is_asked: bool) -> Exit:
    """How to end.

    Args:
        is_asked: whether a device was asked about.
    """
    if isinstance(taken, str):
        return Exit.FAILED if is_asked else Exit.DONE
    return Exit.DOES_NOT_FIT if taken.fits is False else Exit.DONE


def _in_a_word(state: "StageState") -> str:
    if state.damage is not None:
        return "damaged"
    return "fresh" if state.is_fresh else "to make"


def _without_files(
    spec: Path,
    overrides: tuple[str, ...],
    error: SpecError,
    *,
    as_json: bool,
    device_gib: float,
) -> Exit:
    """What a spec takes that is sound by itself, and of which something is not on this disk.

    Args:
        error: what is not there.
    """
    run = _load_alone(spec, overrides)
    taken = forecast_or_reason(run, device_gib)
    missing = [str(fault) for fault in error.faults]
    if as_json:
        emit_json({"name": run.name, "forecast": document_of(taken), "not_here": missing})
    else:
        show(run, taken)
        for fault in missing:
            say(f"note: before it can run: {fault}")
    return _exit_of(taken, is_asked=True)


def _on_devices(spec: Path, overrides: tuple[str, ...], device: str, *, as_json: bool) -> Exit:
    """What the spec would take on other devices than these, from its text alone."""
    from loray.planner.devices import assumed_words, is_tried, parse_devices
    from loray.planner.stages import busy_share

    kind, count = parse_devices(device)
    wide = (
        f"resources.workers={count}",
        "resources.min_workers=null",
        "resources.gpus_per_worker=1",
    )
    run = _load_alone(spec, (*overrides, *wide))
    taken = forecast_or_reason(run, kind.gib)
    hours = None
    if not isinstance(taken, str):
        hours = kind.hours(taken.flops, count, dtype=run.base_model.dtype)
        hours = None if hours is None else hours / busy_share(run)
    if as_json:
        emit_json({"name": run.name, "forecast": document_of(taken), "hours": hours})
        return _exit_of(taken, is_asked=True)
    show(run, taken)
    if isinstance(taken, str):
        return Exit.FAILED
    if (assumed := assumed_words(device)) is not None:
        say(f"device       {assumed}")
    if not is_tried(kind):
        say("device       by its memory alone: loray was never run on an AMD device")
    _say_time(hours, is_known=kind.tflops is not None)
    return _exit_of(taken, is_asked=True)


def _say_time(hours: float | None, *, is_known: bool) -> None:
    from loray.planner.devices import UTILIZATION

    if hours is not None:
        say(f"time         about {hours:.2g} hours at {UTILIZATION:.0%} of the devices' peak")
    elif is_known:
        say("time         not known but for base_model.dtype: bfloat16")
    else:
        say("time         not known: its peak in bfloat16 is not (none before Ampere has one)")


def _load_alone(spec: Path, overrides: tuple[str, ...]) -> RunSpec:
    """The spec, whatever it names; only its base model is looked at, if that is here.

    Raises:
        SpecError: it is not sound by itself, or asks what its base model cannot.
    """
    from loray.pipeline.probe import look_at_base
    from loray.spec.load import load_run_spec, refusal_of

    run = load_run_spec(spec, overrides)
    if findings := look_at_base(run).findings:
        raise refusal_of(spec, overrides, findings)
    return run


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
