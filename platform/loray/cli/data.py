"""`loray data`: look at a dataset; nothing here changes one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loray.cli.datasets import committed_folder, place_argument
from loray.cli.options import json_option, set_option
from loray.cli.output import emit_json, say, show_table
from loray.cli.preview import preview
from loray.cli.quarantine import quarantine

if TYPE_CHECKING:
    from loray.data.review.differences import Difference, Differences


@click.group()
def data() -> None:
    """Look at a dataset: rows as the model sees them, a report, the quarantine, two datasets."""


data.add_command(preview)
data.add_command(quarantine)


@data.command()
@place_argument
@set_option
@json_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the page goes; NAME-data.html here when not given.",
)
def report(place: Path, overrides: tuple[str, ...], *, as_json: bool, out: Path | None) -> None:
    """Write one HTML page: counts, reasons, lengths, duplicates, samples, times."""
    from loray.data.review.facts import gather_facts
    from loray.data.review.report import quantiles, write_report
    from loray.data.totals import odd_columns

    facts = gather_facts(committed_folder(place, overrides))
    file = out or Path(f"{facts.manifest.stage.name}-data.html")
    write_report(file, facts)
    if as_json:
        lengths = dict(quantiles(facts))
        emit_json({"file": str(file), "statistics": facts.statistics, "lengths": lengths})
        return
    rows = facts.statistics["rows"]
    say(f"{rows['in']:,} rows in, {rows['kept']:,} kept, {rows['quarantined']:,} put aside")
    for line in odd_columns(facts.statistics):
        say(line)
    say(f"report: {file}")


@data.command()
@place_argument
@click.argument("other", metavar="OTHER", type=click.Path(path_type=Path))
@set_option
@json_option
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Rows that are shown of each difference.",
)
def diff(
    place: Path, other: Path, overrides: tuple[str, ...], *, as_json: bool, examples: int
) -> None:
    """Say which rows differ between two datasets, each named by its spec or its folder."""
    from loray.data.review.differences import find_differences, texts_of

    first, second = (
        committed_folder(each, () if each.is_dir() else overrides) for each in (place, other)
    )
    found = find_differences(first, second, examples)
    shown = [difference for kind in found.examples.values() for difference in kind]
    old = texts_of(first, {d.before.id for d in shown if d.before is not None})
    new = texts_of(second, {d.after.id for d in shown if d.after is not None})
    if as_json:
        documents = [_document(difference, old, new) for difference in shown]
        emit_json({"same": found.num_same, "counts": found.counts, "examples": documents})
        return
    _tell(found)
    for difference in shown:
        _tell_one(difference, old, new)


def _tell(found: "Differences") -> None:
    from loray.data.review.differences import KINDS

    rows = [(kind, found.counts[kind], meaning) for kind, meaning in KINDS.items()]
    show_table(("what", "rows", "meaning"), [("same", found.num_same, "rows without any"), *rows])


def _tell_one(difference: "Difference", old: dict[str, str], new: dict[str, str]) -> None:
    from loray.data.review.changes import excerpts

    before, after = difference.before, difference.after
    say(f"\n--- {difference.kind}  {' -> '.join(_places(difference))}")
    if before is None or after is None:
        text = old.get(before.id, "") if before else new.get(after.id, "") if after else ""
        say(f"  {excerpts(text, '')[0]}")
    elif difference.kind == "split":
        say(f"  {before.split} -> {after.split}")
    elif difference.kind == "reason":
        say(f"  {before.state} -> {after.state}")
    elif difference.kind == "text":
        parts = excerpts(old[before.id], new[after.id])
        say(f"  - {parts[0]}\n  + {parts[1]}")


def _places(difference: "Difference") -> list[str]:
    entries = [entry for entry in (difference.before, difference.after) if entry is not None]
    return list(dict.fromkeys(f"{e.source}:{e.line} row {e.id}" for e in entries))


def _document(difference: "Difference", old: dict[str, str], new: dict[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": difference.kind, "before": None, "after": None}
    for name, entry, texts in (
        ("before", difference.before, old),
        ("after", difference.after, new),
    ):
        if entry is not None:
            fields = {key: value for key, value in entry._asdict().items() if key != "text"}
            document[name] = fields | {"text": texts[entry.id]}
    return document
