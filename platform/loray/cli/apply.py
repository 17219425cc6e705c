"""`loray apply`: make what is stale."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.exits import Exit
from loray.cli.looked_into import load_looked_into
from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import emit_json, say
from loray.cli.progress import progress

if TYPE_CHECKING:
    from loray.artifacts.manifest import StageKind
    from loray.pipeline.apply import Outcome


@click.command()
@spec_argument
@set_option
@json_option
@click.option(
    "--until",
    type=click.Choice(["dataset", "training", "evaluation"]),
    help="Stop after this stage; nothing is registered.",
)
def apply(
    spec: Path, overrides: tuple[str, ...], *, as_json: bool, until: "StageKind | None"
) -> Exit:
    """Make what is stale, register the best checkpoint, promote it if its gates let it.

    Runs on this machine, or on the cluster that RAY_ADDRESS names. Whatever happens to the process,
    applying again continues from what was committed.
    """
    from loray.pipeline import apply as pipeline

    run, _ = load_looked_into(spec, overrides)
    with progress(as_json=as_json) as report:
        outcome = pipeline.apply(run, until=until, report=report)
    if as_json:
        emit_json(_document(outcome))
    else:
        _tell(outcome)
        _tell_next(spec, until)
    return Exit.DONE if outcome.passed else Exit.REFUSED_BY_GATE


def _tell(outcome: "Outcome") -> None:
    for stage, seconds in outcome.seconds.items():
        say(f"{stage} took {seconds:.1f} s")
    if outcome.published is not None:
        say(f"{outcome.published.words}; it is {outcome.published.version.state}")
    for kind, folder in outcome.stages.items():
        say(f"{kind}: {folder}")
    if outcome.is_scored:
        say(f"report: {outcome.scorecard.with_name('report.html')}")


def _tell_next(spec: Path, until: "StageKind | None") -> None:
    """What to do after a stage that was to be the last one."""
    if until is None:
        return
    look = {
        "dataset": f"loray data preview {spec}, loray data report {spec}",
        "training": f"loray doctor run {spec}",
        "evaluation": f"loray report {spec}",
    }
    say(f"stopped after {until}, as asked; nothing is registered")
    say(f"next: {look[until]}; then loray apply {spec} for the rest")


def _document(outcome: "Outcome") -> dict[str, object]:
    version = outcome.published.version if outcome.published else None
    return {
        "passed": outcome.passed,
        "version": version.ref if version else None,
        "state": version.state if version else None,
        "seconds": outcome.seconds,
        "artifacts": {kind: str(folder) for kind, folder in outcome.stages.items()},
        "scorecard": str(outcome.scorecard) if outcome.is_scored else None,
    }
