"""What a newcomer sees at the end: where the time went, what was learned, what was answered."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loray.artifacts.manifest import MANIFEST_NAME, Manifest
from loray.data.replay import REASON as NOT_DRAWN
from loray.evaluate.scorecard import Comparison, read_scorecard

if TYPE_CHECKING:
    from loray.pipeline.apply import Outcome
    from loray.quickstart.run import Quickstart


def show_summary(done: "Quickstart") -> None:
    """Print the tables."""
    console = Console()
    console.print(times_table(done.seconds))
    console.print(rows_table(done.outcomes))
    console.print(scores_table(done.outcomes))
    console.print(answers_table(done))
    for name, outcome in done.outcomes.items():
        published = outcome.published
        if published is not None:
            console.print(f"[b]{name}[/b]: {published.version.ref} is {published.version.state}")
        report = outcome.scorecard.parent / "report.html"
        console.print(f"  report: {report}", soft_wrap=True, highlight=False)
    console.print(
        "\nServe them yourself: [b].venv/bin/loray serve configs/runs/docstring.yaml[/b], "
        "then [b].venv/bin/loray chat docstring[/b]"
    )


def times_table(seconds: dict[str, float]) -> Table:
    """Seconds of every part, and of all."""
    table = Table(title="Where the time went", title_justify="left")
    table.add_column("part")
    table.add_column("seconds", justify="right")
    for part, spent in seconds.items():
        table.add_row(part, f"{spent:.1f}")
    table.add_row("[b]all[/b]", f"[b]{sum(seconds.values()):.1f}[/b]")
    return table


def rows_table(outcomes: dict[str, "Outcome"]) -> Table:
    """Rows read, kept, set aside and quarantined of every dataset."""
    table = Table(title="Rows", title_justify="left")
    for column in ("adapter", "read", "kept", "replay not needed", "quarantined", "why"):
        table.add_column(column, justify="left" if column in ("adapter", "why") else "right")
    for name, outcome in outcomes.items():
        counts = _statistics(outcome)["rows"]
        reasons = dict(counts["rejected_by"])
        not_needed = reasons.pop(NOT_DRAWN, 0)
        quarantined = counts["quarantined"] - not_needed
        numbers = (counts["in"], counts["kept"], not_needed, quarantined)
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))
        table.add_row(name, *(f"{number:,}" for number in numbers), why or "-")
    return table


def scores_table(outcomes: dict[str, "Outcome"]) -> Table:
    """Base against adapter on held-out modules."""
    table = Table(title="Held-out modules: base against adapter", title_justify="left")
    for column in ("adapter", "suite", "metric", "base", "with adapter"):
        table.add_column(column, justify="left" if column != "base" else "right")
    for name, outcome in outcomes.items():
        for one in read_scorecard(outcome.scorecard.parent).comparisons:
            table.add_row(name, one.suite, one.metric, *_pair(one))
    return table


def answers_table(done: "Quickstart") -> Table:
    """Every answer to every question."""
    table = Table(title="The same question to each model, over HTTP", title_justify="left")
    table.add_column("question", overflow="fold")
    table.add_column("model")
    table.add_column("answer", overflow="fold")
    last = ""
    for answer in done.answers:
        shown = "" if answer.question == last else escape(answer.question)
        table.add_row(shown, escape(answer.model), escape(answer.text.strip()))
        last = answer.question
    return table


def _pair(one: Comparison) -> tuple[str, str]:
    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    return text(one.base), text(one.best)


def _statistics(outcome: "Outcome") -> dict[str, Any]:
    path = outcome.stages["dataset"] / MANIFEST_NAME
    return Manifest.model_validate_json(path.read_bytes()).statistics
