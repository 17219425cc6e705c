"""`loray data preview`: rows as the model sees them, with what is learned in colour."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loray.cli.datasets import made_folder
from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import emit_json, harmless, say
from loray.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loray.data.review.changes import Trace
    from loray.data.review.preview import Preview, Shown
    from loray.data.review.spans import Span
    from loray.spec.run import RunSpec


@dataclass(frozen=True)
class Asked:
    """Which rows to show."""

    rows: int
    split: str
    row_id: str | None


@click.command()
@spec_argument
@set_option
@json_option
@click.option(
    "--rows",
    type=click.IntRange(1, 10_000),
    default=5,
    show_default=True,
    help="How many sequences are shown.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="train",
    show_default=True,
    help="Which rows; those held out are rendered as training would render them.",
)
@click.option("--id", "row_id", metavar="ID", help="Show this row of the dataset alone.")
@click.option(
    "--changes",
    is_flag=True,
    help="Show what each step changed; the sources are read again up to these rows.",
)
def preview(
    spec: Path,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    changes: bool,
    **chosen: Any,  # noqa: ANN401 (the fields of Asked)
) -> None:
    """Show rows as the model sees them, with what is learned marked.

    Of a dataset that is not made yet, the first rows of each source are put through the steps here,
    without Ray.
    """
    from loray.spec.load import load_checked

    run = load_checked(spec, overrides)
    folder = made_folder(run)
    asked = Asked(**chosen)
    found = _of_sources(run, asked) if folder is None else _of_dataset(run, folder, asked)
    if changes and folder is not None:
        found.trace = _traced(run, found.shown)
    if as_json:
        origin = "sources" if folder is None else "dataset"
        documents = [_document(row, found.trace if changes else None) for row in found.shown]
        emit_json({"from": origin, "rows": documents, "elsewhere": dict(found.elsewhere)})
        return
    if folder is None:
        say("the dataset is not made: these are the first rows of its sources, put through the")
        say("steps just now; duplicates, the share of replay and packing take the whole corpus")
        for note in _notes_of(run):
            say(note)
        say()
    _show(found.shown, found.trace, with_changes=changes)
    for split, count in sorted(found.elsewhere.items()):
        say(f"{count} row(s) among these are in the {split} split: --split {split} shows them")


def _notes_of(run: "RunSpec") -> list[str]:
    from loray.data.sources.peek import look_into

    looked = look_into(run.data)
    return [*(finding.message for finding in looked.findings), *looked.notes]


def _of_sources(run: "RunSpec", asked: Asked) -> "Preview":
    from loray.data.review.preview import chain_for, preview_sources, viewer_of

    if asked.row_id is not None:
        raise SpecError(f"found --id {asked.row_id}, but no dataset is made; run `loray apply`")
    return preview_sources(run.data, asked.split, asked.rows, chain_for(run), viewer_of(run))


def _of_dataset(run: "RunSpec", folder: Path, asked: Asked) -> "Preview":
    """The first rows of a split, or all of one row; how they came about is another question."""
    from loray.data.review.preview import Preview, preview_row, preview_split, viewer_of

    viewer = viewer_of(run)
    if asked.row_id is not None:
        return Preview(preview_row(folder, asked.row_id, viewer))
    return Preview(preview_split(folder, asked.split, asked.rows, viewer))


def _traced(run: "RunSpec", shown: "Iterable[Shown]") -> "Trace":
    from loray.data.review.changes import trace_again
    from loray.data.review.preview import chain_for

    changed = [sequence.row for sequence in shown if sequence.row["changed_by"]]
    return trace_again(changed, run.data, chain_for(run))


def _show(shown: "Sequence[Shown]", trace: "Trace", *, with_changes: bool) -> None:
    in_colour = sys.stdout.isatty()
    if in_colour:
        words = (click.style("learned", fg="green"), click.style("control token", reverse=True))
        click.echo(f"{words[0]}   context   {words[1]}\n")
    else:
        say("[[learned]]   context   {{control token}}\n")
    for sequence in shown:
        say(_heading(sequence))
        if sequence.row.get("rejected_by"):
            _show_rejected(sequence, trace)
        elif in_colour:
            click.echo("".join(map(coloured, sequence.spans)))
        else:
            say(marked(sequence.spans))
        if with_changes:
            _show_changes(sequence, trace)
        say()
    if not shown:
        say("there is no such row")


def _heading(sequence: "Shown") -> str:
    row, place = sequence.row, sequence.place
    about = [f"{row['source']}:{row['line']}", f"row {row['id']}", str(row["split"] or "no split")]
    if place is not None:
        about.append(f"pack {place.pack}, {place.number} of {place.num_in_pack}")
    if sequence.spans:
        about.append(f"{sequence.num_tokens} tokens, {sequence.num_learned} learned")
    if row["changed_by"]:
        about.append(f"changed by {', '.join(dict.fromkeys(row['changed_by']))}")
    return f"--- {'  '.join(about)}"


def _show_rejected(sequence: "Shown", trace: "Trace") -> None:
    row = sequence.row
    who = trace.rejected_in.get(row["id"])
    say(f"rejected: {row['rejected_by']}{f' (step {who})' if who else ''}")
    if row["note"]:
        say(f"note: {row['note']}")
    for turn in row["turns"] or [{"role": "raw", "content": row["raw"] or ""}]:
        say(f"{turn['role']}: {turn['content']}")


def _show_changes(sequence: "Shown", trace: "Trace") -> None:
    from loray.data.review.changes import excerpts

    for change in trace.changes.get(sequence.row["id"], ()):
        before, after = excerpts(change.before, change.after)
        say(f"  {change.step}, {change.role}:\n    - {before}\n    + {after}")


def coloured(span: "Span") -> str:
    """A span for a terminal."""
    return click.style(
        harmless(span.text),
        fg="green" if span.is_learned else None,
        reverse=span.is_control or None,
    )


def marked(spans: "Sequence[Span]") -> str:
    """Spans as plain text: `[[learned]]`, `{{control token}}`."""
    parts: list[str] = []
    was_learned = False
    for span in spans:
        if span.is_learned != was_learned:
            parts.append("[[" if span.is_learned else "]]")
        was_learned = span.is_learned
        parts.append(f"{{{{{span.text}}}}}" if span.is_control else span.text)
    return "".join([*parts, "]]" if was_learned else ""])


def _document(sequence: "Shown", trace: "Trace | None") -> dict[str, Any]:
    row, place = sequence.row, sequence.place
    names = ("id", "source", "line", "split", "changed_by")
    document: dict[str, Any] = {name: row[name] for name in names}
    document |= {"rejected_by": row.get("rejected_by"), "note": row.get("note")}
    document |= {"tokens": sequence.num_tokens, "learned": sequence.num_learned}
    document["place"] = None if place is None else place._asdict()
    document["spans"] = [
        {"text": span.text, "learned": span.is_learned, "control": span.is_control}
        for span in sequence.spans
    ]
    if trace is not None:
        document["changes"] = [c._asdict() for c in trace.changes.get(row["id"], ())]
    return document
