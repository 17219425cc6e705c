"""`loray apply`: make what is stale."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.exits import Exit
from loray.cli.hints import completed
from loray.cli.looked_into import load_looked_into
from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import complain, emit_json, harmless, say

if TYPE_CHECKING:
    from loray.pipeline.apply import Outcome


@click.command()
@spec_argument
@set_option
@json_option
def apply(spec: Path, overrides: tuple[str, ...], *, as_json: bool) -> Exit:
    """Make what is stale, register the best checkpoint, promote it if its gates let it.

    Runs on this machine, or on the cluster that RAY_ADDRESS names. Whatever happens to the process,
    applying again continues from what was committed.
    """
    from loray.pipeline import apply as pipeline

    run, _ = load_looked_into(spec, overrides)
    with _progress(as_json=as_json) as report:
        outcome = pipeline.apply(run, report=report)
    if as_json:
        emit_json(_document(outcome))
    else:
        _tell(outcome)
    return Exit.DONE if outcome.passed else Exit.REFUSED_BY_GATE


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[str], None]]:
    """Where lines about the work go.

    To the error stream when JSON is asked for; above a spinner with the time on a terminal; else to
    the output.
    """
    if as_json or not sys.stdout.isatty():
        yield complain if as_json else say
        return
    from rich.console import Console
    from rich.markup import escape

    console, begin = Console(highlight=False), time.monotonic()
    with console.status("starting") as status:

        def report(line: str) -> None:
            text = escape(harmless(completed(line)))
            console.print(f"[dim]{time.monotonic() - begin:7.1f} s[/dim]  {text}")
            status.update(text)

        yield report


def _tell(outcome: "Outcome") -> None:
    for stage, seconds in outcome.seconds.items():
        say(f"{stage} took {seconds:.1f} s")
    if outcome.published is not None:
        say(f"{outcome.published.words}; it is {outcome.published.version.state}")
    for kind, folder in outcome.stages.items():
        say(f"{kind}: {folder}")
    say(f"report: {outcome.scorecard.with_name('report.html')}")


def _document(outcome: "Outcome") -> dict[str, object]:
    version = outcome.published.version if outcome.published else None
    return {
        "passed": outcome.passed,
        "version": version.ref if version else None,
        "state": version.state if version else None,
        "seconds": outcome.seconds,
        "artifacts": {kind: str(folder) for kind, folder in outcome.stages.items()},
        "scorecard": str(outcome.scorecard),
    }
