"""`loray sweep`: several trainings that differ in chosen fields, and which is best."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loray.cli.exits import Exit
from loray.cli.looked_into import load_looked_into
from loray.cli.options import Number, json_option, set_option, spec_argument
from loray.cli.output import emit_json, say, show_table
from loray.cli.progress import progress
from loray.errors import SpecError

if TYPE_CHECKING:
    from loray.pipeline.sweep import TrialResult
    from loray.spec.grid import Axis

MAX_TRIALS = 64
GIB_HELP = "Memory of one worker's device: a trial that needs more is refused before any starts."


@click.command()
@spec_argument
@click.option(
    "--set-list",
    "lists",
    multiple=True,
    required=True,
    metavar="PATH=VALUE,VALUE,...",
    help="Values of a field to try, such as method.rank=4,8,16; of several lists, every "
    "combination is a trial.",
)
@set_option
@click.option("--device-gib", type=Number(min=0, min_open=True), metavar="GIB", help=GIB_HELP)
@click.option("--device", metavar="NAME", help="The same, by the device's name, such as a100-80g.")
@json_option
def sweep(
    spec: Path,
    lists: tuple[str, ...],
    overrides: tuple[str, ...],
    *,
    device_gib: float | None,
    device: str | None,
    as_json: bool,
) -> Exit:
    """Train and score one spec with several values of some fields, and say which is best.

    All trials share one dataset. What is made is not made again, so a sweep that was stopped goes
    on when it is started again. Nothing is registered: apply the best trial to do so.
    """
    from loray.pipeline.sweep import Trial, plan_sweep, run_sweep
    from loray.spec.grid import combinations, parse_axes

    room = _gib(device, device_gib)
    axes = parse_axes(lists)
    chosen = combinations(axes)
    if len(chosen) > MAX_TRIALS:
        raise SpecError(
            f"--set-list: found {len(chosen)} combinations; wanted at most {MAX_TRIALS}; "
            "sweep fewer values at a time"
        )
    trials = [Trial(each, load_looked_into(spec, [*overrides, *each])[0]) for each in chosen]
    planned = plan_sweep(trials, device_gib=room)
    with progress(as_json=as_json) as report:
        results = run_sweep(planned, report=report)
    advice = _advice(results, axes, str(spec), overrides)
    if as_json:
        emit_json({"trials": [_document(result) for result in results], "advice": advice})
    else:
        _tell(results, advice)
    return Exit.FAILED if any(result.failure for result in results) else Exit.DONE


def _gib(device: str | None, gib: float | None) -> float | None:
    if device is None:
        return gib
    if gib is not None:
        raise click.UsageError("give --device or --device-gib, not both")
    from loray.planner.devices import parse_devices

    kind, count = parse_devices(device)
    if count > 1:
        raise click.UsageError(
            f"found a count in --device {device}; how many there are is resources.workers"
        )
    return kind.gib


def _tell(results: "Sequence[TrialResult]", advice: Sequence[str]) -> None:
    metric = results[0].planned.trial.spec.evaluate.select_by
    say()
    show_table(
        ("trial", metric, f"{metric} on test", "learned", "seconds", "gates"),
        [
            (
                result.planned.trial.words,
                result.value,
                result.test_value,
                _grouped(result.planned.learned_parameters),
                round(result.train_seconds, 1) if result.card else None,
                _verdict(result),
            )
            for result in results
        ],
    )
    say()
    for sentence in advice:
        say(sentence)


def _grouped(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _verdict(result: "TrialResult") -> str:
    if result.card is None:
        return "failed"
    return "passed" if result.card.passed else "refused"


def _advice(
    results: "Sequence[TrialResult]", axes: "Sequence[Axis]", spec: str, overrides: Sequence[str]
) -> list[str]:
    """What to make of the trials, and the command that registers the one to take."""
    from loray.pipeline.sweep import advise, best_of, cheapest_near

    said, best = advise(results, axes), best_of(results)
    if best is None:
        return said
    chosen = cheapest_near(results, best).planned.trial
    settings = [word for each in (*overrides, *chosen.overrides) for word in ("--set", each)]
    return [
        *said,
        f"to register {chosen.words}: {shlex.join(['loray', 'apply', spec, *settings])}",
    ]


def _document(result: "TrialResult") -> dict[str, Any]:
    trial = result.planned.trial
    return {
        "overrides": list(trial.overrides),
        "metric": trial.spec.evaluate.select_by,
        "value": result.value,
        "test_value": result.test_value,
        "learned_parameters": result.planned.learned_parameters,
        "train_seconds": result.train_seconds,
        "passed": result.card.passed if result.card else None,
        "best_step": result.card.best_step if result.card else None,
        "failure": result.failure or None,
    }
