"""`loray doctor`: what is wrong with a run, and which learning rate it should have."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.options import Number, json_option, set_option, spec_argument
from loray.cli.output import complain, emit_json, say, show_table
from loray.cli.progress import Sparse
from loray.errors import ArtifactError, TrainingError

if TYPE_CHECKING:
    from loray.artifacts.diagnosis import Diagnosis
    from loray.spec.run import RunSpec
    from loray.train.rates import RateCurve

RATE = Number(min=0, max=10, min_open=True)
SHOWN = 20
"""Points of a curve that are printed."""
BAR = 40
"""Characters of the longest bar."""


@click.group()
def doctor() -> None:
    """Look into a training: what went wrong, and what to do about it."""


@doctor.command("run")
@spec_argument
@set_option
@json_option
def run_(spec: Path, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Tell what was diagnosed in a training, finished or not, with the rows to look at."""
    from loray.spec.load import load_checked

    run = load_checked(spec, overrides)
    diagnoses = _diagnoses_of(run)
    if as_json:
        emit_json({"name": run.name, "diagnoses": [found.record() for found in diagnoses]})
        return
    for found in diagnoses:
        say(str(found))
    if not diagnoses:
        say("nothing was found wrong")


@doctor.command()
@spec_argument
@set_option
@json_option
@click.option("--lowest", type=RATE, default=1e-6, show_default=True, help="First rate to try.")
@click.option("--highest", type=RATE, default=1.0, show_default=True, help="Last rate to try.")
@click.option("--steps", type=click.IntRange(10, 10_000), default=60, show_default=True)
def lr(
    spec: Path,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    lowest: float,
    highest: float,
    steps: int,
) -> None:
    """Find the learning rate: a short training whose rate rises at every step.

    The dataset is made first if it is not there. Nothing else is kept.
    """
    from loray.pipeline.rates import find_rates
    from loray.spec.load import load_checked
    from loray.train.rates import RateRange, advise

    if lowest >= highest:
        raise click.UsageError(f"--lowest {lowest:g} must be below --highest {highest:g}")
    run = load_checked(spec, overrides)
    curve = find_rates(run, RateRange(lowest, highest, steps), report=Sparse(complain))
    advice = advise(curve)
    if as_json:
        losses = [loss if math.isfinite(loss) else None for loss in curve.losses]
        emit_json({"name": run.name, "rates": curve.rates, "losses": losses, **vars(advice)})
        return
    _show_curve(curve)
    if advice.is_open:
        say(
            f"the loss still fell at {advice.turn:.3g}, the highest rate tried; try --highest above"
        )
    else:
        say(f"the loss turns at {advice.turn:.3g}")
    say(
        f"suggested: --set train.optimizer.learning_rate={advice.suggested:g} "
        f"(the spec has {run.train.optimizer.learning_rate:g})"
    )


def _show_curve(curve: "RateCurve") -> None:
    """Some points of the curve, with bars."""
    smooth = curve.smooth
    top = max(filter(math.isfinite, smooth), default=1.0)
    every = max(1, len(smooth) // SHOWN)
    rows = [
        (f"{rate:.2e}", f"{loss:.3f}", "\N{FULL BLOCK}" * round(BAR * loss / top))
        for rate, loss in list(zip(curve.rates, smooth, strict=True))[::every]
        if math.isfinite(loss)
    ]
    show_table(("rate", "loss", ""), rows)


def _diagnoses_of(run: "RunSpec") -> "list[Diagnosis]":
    """Of the finished training, or else of the one that is under way or was cut off."""
    from loray.artifacts.diagnosis import DIAGNOSES_NAME, from_lines
    from loray.artifacts.store import Store
    from loray.pipeline.plan import make_plan
    from loray.train.checkpoint import GUARD_NAME, CheckpointStore
    from loray.train.guard import GuardState
    from loray.train.places import with_places

    store, plan = Store(run.storage.root), make_plan(run)
    stages = {state.stage.kind: state.stage for state in plan.stages}
    if store.read_manifest(stages["training"]) is not None:
        folder = store.fetch(stages["training"], without="checkpoints/")
        return from_lines((folder / DIAGNOSES_NAME).read_text(encoding="utf-8"))
    work = store.scratch / ".work" / stages["training"].folder
    checkpoints = CheckpointStore(str(work / "attempts"))
    latest = checkpoints.committed()[-1:]
    if (work / DIAGNOSES_NAME).is_file():  # it failed, and said so
        try:
            return from_lines((work / DIAGNOSES_NAME).read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{work / DIAGNOSES_NAME} is damaged ({type(error).__name__}); run `loray apply`, "
                "which goes on with the training and writes it again"
            ) from error
    if not latest:
        raise TrainingError(f"no training of {run.name} has left a checkpoint; run `loray apply`")
    state = GuardState.from_json(checkpoints.read(latest[0], GUARD_NAME).decode())
    return with_places(state.diagnoses, store.location(stages["dataset"]))
