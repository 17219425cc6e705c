"""`loray plan`: what would run and why, and what it takes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import emit_json, say, show_table
from loray.errors import ModelError
from loray.spec.run import RunSpec

if TYPE_CHECKING:
    from loray.pipeline.plan import Plan
    from loray.planner.report import Forecast

GIB = 2**30


@click.command()
@spec_argument
@set_option
@json_option
@click.option(
    "--device-gib",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="Memory of one worker's device: say whether a worker fits, and what to change if not.",
)
def plan(
    spec: Path, overrides: tuple[str, ...], *, as_json: bool, device_gib: float | None
) -> None:
    """Say what would run and why, and what it takes; starts nothing."""
    from loray.pipeline.plan import make_plan
    from loray.spec.load import load_checked

    run = load_checked(spec, overrides)
    made = make_plan(run)
    taken = forecast_or_reason(run, device_gib)
    if as_json:
        emit_json({"name": run.name, "stages": _stages(made), "forecast": _document(taken)})
        return
    show_table(
        ("stage", "state", "artifact", "why"),
        [
            (s.stage.kind, "fresh" if s.is_fresh else "to make", s.stage.folder, s.why)
            for s in made.stages
        ],
    )
    say()
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
    share = taken.learned_parameters / taken.base_parameters
    say(
        f"parameters   {taken.base_parameters:,} in the base, {taken.learned_parameters:,} learn "
        f"({share:.2%})"
    )
    say(
        f"tokens       at most {taken.tokens_per_step:,} a step, {taken.tokens_in_all:,} in "
        f"{run.train.steps} steps"
    )
    disk = in_units(taken.checkpoint_bytes)
    say(f"checkpoints  {taken.num_checkpoints}, {disk} until the run ends")
    say()
    rows = [(name, in_units(size)) for name, size in taken.memory.components.items()]
    show_table(
        ("memory of one worker", "at the peak"), [*rows, ("in all", in_units(taken.memory.total))]
    )
    say(f"serving replica: {in_units(sum(taken.serving.values()))}")
    if taken.fits is not None and taken.device_bytes is not None:
        verdict = "fits" if taken.fits else "does not fit"
        say(f"a worker {verdict} a device of {in_units(taken.device_bytes)}")
    for note in taken.notes:
        say(f"note: {note}")


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
        "num_checkpoints": taken.num_checkpoints,
        "checkpoint_bytes": taken.checkpoint_bytes,
        "worker_bytes": taken.memory.components | {"total": taken.memory.total},
        "serving_bytes": taken.serving,
        "device_bytes": taken.device_bytes,
        "fits": taken.fits,
        "notes": list(taken.notes),
    }
