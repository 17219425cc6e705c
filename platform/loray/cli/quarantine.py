"""`loray data quarantine`: what was put aside and why, and the rule that brings rows back."""

import json
from collections.abc import Callable
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from loray.cli.datasets import place_argument, quarantine_folder
from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import emit_json, say, show_table
from loray.errors import SpecError

if TYPE_CHECKING:
    from loray.data.review.quarantine import Wanted

Command: TypeAlias = Callable[..., object]


def filter_options(command: Command) -> Command:
    """The options that say which rows are meant; the command gets them as `wanted`."""

    @wraps(command)
    def filtered(
        *,
        reason: str | None,
        source: str,
        contains: str | None,
        ids: tuple[str, ...],
        **others: object,
    ) -> object:
        from loray.data.review.quarantine import Wanted

        return command(wanted=Wanted(reason, source, contains, frozenset(ids)), **others)

    options = (
        click.option("--id", "ids", multiple=True, metavar="ID", help="This row; may be repeated."),
        click.option("--contains", metavar="TEXT", help="Rows that hold TEXT, in any case."),
        click.option(
            "--source",
            default="*",
            metavar="GLOB",
            help="Rows whose source matches: 'sources.0/*'.",
        ),
        click.option("--reason", help="Rows that were rejected for this reason."),
    )
    with_options: Command = filtered
    for option in options:
        with_options = option(with_options)
    return with_options


class Looks(click.Group):
    """The commands; a dataset in the place of one is met with what to write."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names.

        Raises:
            UsageError: it names none.
        """
        if args[0] not in self.commands and not args[0].startswith("-"):
            names = ", ".join(self.list_commands(ctx))
            ctx.fail(
                f"found {args[0]!r}; wanted one of {names}, then the dataset, such as: "
                f"{ctx.command_path} list my-bot.yaml"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Looks)
def quarantine() -> None:
    """Look at the rows that were put aside, carry them out, or write the rule that keeps them."""


@quarantine.command("list")
@place_argument
@set_option
@filter_options
@json_option
def list_reasons(
    place: Path,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    wanted: "Wanted",
) -> None:
    """Count the rows by reason and source."""
    from loray.data.review.facts import stage_of
    from loray.data.review.quarantine import count_rejects

    counts = count_rejects(quarantine_folder(place, overrides), wanted)
    rows = [
        (reason, stage_of(reason), source, count)
        for (reason, source), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    if as_json:
        names = ("reason", "from", "source", "rows")
        named = [dict(zip(names, row, strict=True)) for row in rows]
        emit_json({"rows": counts.total(), "counts": named})
        return
    show_table(("reason", "from", "source", "rows"), rows)
    say(f"{counts.total():,} rows")


@quarantine.command()
@place_argument
@set_option
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many rows are shown.",
)
@click.option(
    "--chars",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    help="Characters of a text that are shown.",
)
@json_option
def show(
    place: Path,
    overrides: tuple[str, ...],
    *,
    limit: int,
    chars: int,
    as_json: bool,
    wanted: "Wanted",
) -> None:
    """Show rows with their source and line, the note, and the text."""
    from loray.data.review.quarantine import document_of, find_rejects

    found = find_rejects(quarantine_folder(place, overrides), wanted)
    rows = [document_of(row) for row in islice(found, limit + 1)]
    if as_json:
        emit_json(rows[:limit])
        return
    for row in rows[:limit]:
        say(f"--- {row['source']}:{row['line']}  row {row['id']}  {row['reason']}")
        if row["note"]:
            say(f"note: {row['note']}")
        for turn in row.get("turns") or [{"role": "raw", "content": row.get("raw") or ""}]:
            say(f"{turn['role']}: {_cut(turn['content'], chars)}")
        say()
    if len(rows) > limit:
        say(f"there are more; --limit shows more than {limit}, `export` writes all")
    elif not rows:
        say("no row is like that")


@quarantine.command("export")
@place_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@set_option
@filter_options
@json_option
def export_rows(
    place: Path,
    file: Path,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    wanted: "Wanted",
) -> None:
    """Write the rows to FILE as JSON Lines: id, source, line, reason, note, and turns or raw."""
    from loray.data.review.quarantine import export_rejects

    count = export_rejects(quarantine_folder(place, overrides), wanted, file)
    if as_json:
        emit_json({"file": str(file), "rows": count})
    else:
        say(f"wrote {count:,} rows to {file}")


@quarantine.command()
@spec_argument
@set_option
@filter_options
@click.option("--by-id", is_flag=True, help="Name these rows alone, not all that match later.")
@json_option
def readmit(
    spec: Path,
    overrides: tuple[str, ...],
    *,
    by_id: bool,
    as_json: bool,
    wanted: "Wanted",
) -> None:
    """Print the rule for the spec that keeps rows in spite of a step; changes nothing itself.

    --reason is needed. With --contains, --id or --by-id, the rule names the rows of today.
    """
    from loray.data.review.quarantine import find_rejects
    from loray.spec.load import load_checked
    from loray.spec.readmit import refusal_of

    if wanted.reason is None:
        raise SpecError("found no --reason; wanted one that `quarantine list` shows; name it")
    refusal = refusal_of(wanted.reason, load_checked(spec, overrides).data.steps)
    if refusal is not None:
        raise SpecError(refusal)
    with_texts = wanted.contains is not None
    rows = find_rejects(quarantine_folder(spec, overrides), wanted, with_texts=with_texts)
    ids = [row["id"] for row in rows]
    rule: dict[str, object] = {"reason": wanted.reason}
    if wanted.source != "*":
        rule["source"] = wanted.source
    if by_id or wanted.ids or wanted.contains is not None:
        rule["ids"] = ids
    if not ids:
        raise SpecError("no row in the quarantine is like that; look with `quarantine list`")
    if as_json:
        emit_json({"rows": len(ids), "rule": rule})
        return
    say(f"# {len(ids):,} rows today. Add this to {spec}, then run `loray apply`:")
    say("\n".join(["data:", "  readmit:", *_yaml_of(rule)]))


def _yaml_of(rule: dict[str, object]) -> list[str]:
    """The lines of a list entry; values as JSON, so that no id looks like a number."""
    lines = [f"{name}: {json.dumps(value)}" for name, value in rule.items()]
    return [f"    {'- ' if at == 0 else '  '}{line}" for at, line in enumerate(lines)]


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[:chars]}... ({len(text) - chars:,} more)"
