"""What `loray init` says: what was found, rows as the model will see them, how long it takes."""

import sys
from typing import TYPE_CHECKING

import click
import numpy as np

from loray.cli.output import harmless, say
from loray.cli.preview import coloured, marked
from loray.machines.room import counted
from loray.spec.yaml12 import flow_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loray.data.review.preview import Shown
    from loray.data.review.spans import Span
    from loray.data.sources.suggest import Part
    from loray.machines.hardware import Machine
    from loray.pipeline.first_spec import FirstSpec

MINUTE, HOUR = 60.0, 3600.0
MOST_CHARS = 800
"""Of a row that is shown."""


def show_part(part: "Part") -> None:
    """What the files of a source are, and how they can be read."""
    if part.kind == "text":
        say(f"{part.uri}: raw text, {counted(part.num_files, 'files')}")
    else:
        files = f", {part.num_files} files" if part.num_files > 1 else ""
        say(f"{part.uri}: kind {part.kind}{files}")
        for column in part.columns:
            say(f"  {column.name}: {column.words}")
    best = part.readings.best
    if best is not None:
        say(
            f"  read as fields: {flow_mapping(best.fields)}{f' ({best.note})' if best.note else ''}"
        )
    for other in part.readings.others:
        say(f"  or, if you mean it: {other.options}")
    for note in part.notes:
        say(f"  note: {note}")


def show_first(first: "FirstSpec", machine: "Machine", *, is_measured: bool) -> None:
    """Rows as the model will see them, and what the run comes to."""
    shown = first.preview.shown if first.preview else []
    if shown:
        say()
        _show_rows(shown)
    say()
    _show_counts(first, machine, is_measured=is_measured)
    for warning in warnings_of(first):
        say(f"note: {warning}")


def warnings_of(first: "FirstSpec") -> "Iterator[str]":
    """What to know before the spec is run; a sentence each."""
    yield from first.warnings
    census = first.census
    if census is None:
        return
    for reason, count in census.unread.most_common(3):
        yield f"{count:,} of {census.num_rows:,} rows cannot be read ({reason})"
    longest = first.spec.data.sequence.max_tokens
    if over := int(census.are_too_long(longest).sum()):
        yield (
            f"{over} of {len(census.lengths)} rows that were tried are longer than max_tokens "
            f"{longest:,} and would be put aside"
        )
        if over > first.spec.data.max_rejected * len(census.lengths):
            yield "these are so many that `loray apply` will refuse the corpus; shorten them first"
    for reason, count in census.rejected.most_common(3):
        yield f"{count} of {census.num_sampled} rows that were tried would be put aside ({reason})"


def _show_rows(shown: "list[Shown]") -> None:
    in_colour = sys.stdout.isatty()
    how = click.style("learned", fg="green") if in_colour else "[[learned]]"
    click.echo(f"{counted(len(shown), 'rows')} as the model will see them; what is {how} is marked")
    for row in shown:
        say(f"--- {row.row['source']}:{row.row['line']}")
        if row.row.get("rejected_by"):
            note = f": {row.row['note']}" if row.row["note"] else ""
            say(f"put aside: {row.row['rejected_by']}{note}")
            continue
        spans, left_out = _cropped(row.spans)
        text = "".join(map(coloured, spans)) if in_colour else harmless(marked(spans))
        click.echo(f"{text} ... and {left_out:,} characters more" if left_out else text)


def _cropped(spans: "Sequence[Span]") -> "tuple[list[Span], int]":
    """Spans of up to `MOST_CHARS` characters in all, and how many characters are left out."""
    kept: list[Span] = []
    room = MOST_CHARS
    for span in spans:
        if room > 0:
            kept.append(span._replace(text=span.text[:room]))
        room -= len(span.text)
    return kept, max(-room, 0)


def _show_counts(first: "FirstSpec", machine: "Machine", *, is_measured: bool) -> None:
    spec, census = first.spec, first.census
    if census is None or not len(census.lengths):
        return
    about = "" if census.share_read == 1.0 else "about "
    rows = round(census.num_rows / census.share_read)
    say(f"rows      {about}{rows:,}, of which about {census.num_usable:,} unlike ones will be kept")
    middle, long = np.percentile(census.lengths, (50, 99))
    how = "" if census.is_counted else " (estimated: no tokenizer is at hand)"
    say(
        f"lengths   {middle:,.0f} tokens in the middle, {long:,.0f} at 99%, "
        f"{census.lengths.max():,} at most{how}; max_tokens {spec.data.sequence.max_tokens:,}"
    )
    train, epochs = spec.train, counted(float(f"{first.epochs or 0:.2g}"), "epochs")
    say(
        f"training  {train.steps:,} steps of {train.batch.global_size} sequences, "
        f"{epochs}; {spec.base_model.dtype}, quantization {spec.base_model.quantization}"
    )
    if first.seconds is None:
        say("time      not known for this device")
        return
    words = "measured with a few passes" if is_measured else "estimated; --measure times it"
    say(f"time      about {in_time(first.seconds)} of training on {machine.words} ({words});")
    say("          starting up and scoring come on top")


def in_time(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < HOUR else f"{seconds / HOUR:.1f} h"


def time_first(first: "FirstSpec") -> None:
    """Replace the estimate by passes that are timed now."""
    from loray.train.measure import measured_sequence_seconds

    if first.census is None or not len(first.census.lengths):
        return
    say()
    say("timing a few passes through the base")
    spec, census = first.spec, first.census
    share = float(census.learned.sum() / max(census.lengths.sum(), 1))
    each = measured_sequence_seconds(spec, learned=share)
    first.seconds = each * spec.train.steps * spec.train.batch.global_size
