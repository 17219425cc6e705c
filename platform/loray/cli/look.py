"""`loray status` and `loray report`: what a run is doing, and what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import emit_json, say, show_table

if TYPE_CHECKING:
    from loray.artifacts.store import Store
    from loray.evaluate.scorecard import Scorecard
    from loray.pipeline.plan import StageState
    from loray.registry import RunLedger
    from loray.spec.run import RunSpec


@click.command()
@spec_argument
@set_option
@json_option
def status(spec: Path, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Say for every stage whether it is made, being made by whom, damaged or missing."""
    from loray.artifacts.store import Store
    from loray.pipeline.plan import make_plan
    from loray.registry import RunLedger
    from loray.spec.load import load_checked

    run = load_checked(spec, overrides)
    store, ledger = Store(run.storage.root), RunLedger(run.storage.registry)
    rows = [_state(run, store, ledger, state) for state in make_plan(run).stages]
    if as_json:
        emit_json({"name": run.name, "stages": rows})
        return
    show_table(("stage", "state", "artifact", "about"), [tuple(row.values()) for row in rows])


@click.command()
@spec_argument
@set_option
@json_option
def report(spec: Path, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Show the scores, the gates' verdict, and where the HTML report lies."""
    from loray.artifacts.store import Store
    from loray.evaluate.scorecard import read_scorecard
    from loray.pipeline.plan import make_plan
    from loray.spec.load import load_checked

    run = load_checked(spec, overrides)
    folder = Store(run.storage.root).fetch(make_plan(run).stages[-1].stage)
    card = read_scorecard(folder)
    if as_json:
        emit_json(card.model_dump(mode="json"))
        return
    _tell(card)
    say(f"report: {folder / 'report.html'}")


def _state(
    run: "RunSpec", store: "Store", ledger: "RunLedger", state: "StageState"
) -> dict[str, str]:
    """A stage's row; the ledger knows who works on it, the work folder how far that is."""
    stage = state.stage
    row = {"kind": stage.kind, "state": "made", "artifact": stage.folder, "about": state.why}
    if state.is_fresh:
        return row
    if state.damage is not None:
        return row | {"state": "damaged"}
    holder = ledger.holder(stage.folder)
    done = _steps_done(store.scratch / ".work" / stage.folder)
    progress = f"step {done} of {run.train.steps} is committed" if done else ""
    if holder is None:
        return row | {"state": "to make", "about": ", ".join(filter(None, [state.why, progress]))}
    who = f"attempt {holder.attempt} on {holder.process.host_name}, process {holder.process.pid}"
    return row | {"state": "being made", "about": ", ".join(filter(None, [who, progress]))}


def _steps_done(work: Path) -> int:
    """Optimizer steps that a resumed training would not repeat."""
    from loray.train.checkpoint import CheckpointStore

    if not (work / "attempts").is_dir():
        return 0
    return max((c.step for c in CheckpointStore(str(work / "attempts")).committed()), default=0)


def _tell(card: "Scorecard") -> None:
    say(f"{card.name}, step {card.best_step}: {card.verdict}")
    say()
    show_table(
        ("suite", "metric", "base", "adapter", "difference"),
        [(c.suite, c.metric, c.base, c.best, c.difference) for c in card.comparisons],
    )
    for gate in card.gates:
        say(f"gate {'passed' if gate.passed else 'refused'}: {gate.words}")
    for note in card.notes:
        say(f"note: {note}")
