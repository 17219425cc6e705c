"""`loray clean`: delete what nothing needs any more from a storage root."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from loray.cli.options import Number, json_option, spec_option
from loray.cli.output import emit_json, say, show_table
from loray.errors import SpecError
from loray.spec.run import StorageSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loray.pipeline.clean import Item

KINDS = ("dataset", "training", "evaluation", "work", "fetched copy")
UNITS = {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


class Size(click.ParamType[int]):
    """A number of bytes, such as 500MB."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The bytes that `value` names."""
        text = str(value).strip().upper()
        number = text.rstrip("KMGB")
        factor = UNITS.get(text[len(number) :] or "B")
        try:
            size = float(number) * (factor or 0)
        except ValueError:
            size = -1.0
        if factor is None or not 0 <= size < 2**63:
            self.fail(f"found {value!r}; wanted a size such as 500MB or 2GB", param, ctx)
        return int(size)


@click.command()
@spec_option
@click.option(
    "--older-than",
    type=Number(min=0),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Keep what is younger.",
)
@click.option(
    "--larger-than", type=Size(), default="0B", show_default=True, help="Keep what is smaller."
)
@click.option(
    "--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only these; all by default."
)
@click.option(
    "--delete", "mode", flag_value="ask", help="Delete; without it, only say what would go."
)
@click.option("--yes", "mode", flag_value="yes", help="Delete, and do not ask before.")
@json_option
def clean(
    *,
    spec: Path | None,
    older_than: float,
    larger_than: int,
    kinds: tuple[str, ...],
    mode: str | None,
    as_json: bool,
) -> None:
    """Delete old datasets, trainings, evaluations, work folders and fetched copies.

    Kept in any case: the newest of each name and kind, what versions behind aliases were made from,
    and everything of runs that are under way. Adapters in the registry are copies of their own.
    """
    from loray.pipeline.clean import ItemKind, Selection, look_through
    from loray.spec.load import load_run_spec

    storage = load_run_spec(spec).storage if spec else StorageSpec()
    chosen: tuple[ItemKind, ...] = tuple(k for k in get_args(ItemKind) if not kinds or k in kinds)
    items = look_through(storage, Selection(older_than, larger_than, chosen))
    going = [item for item in items if not item.kept]
    gone: Sequence[Item] = []
    if not as_json:
        _show(storage, items)
    if mode is not None and going:
        if mode == "ask":
            _confirm(going, as_json=as_json)
        gone = _delete(storage, items, as_json=as_json)
    if as_json:
        emit_json(
            {
                "deleted": mode is not None,
                "would_go": [_document(item) for item in going],
                "gone": [item.name for item in gone],
                "kept": [_document(item) for item in items if item.kept],
            }
        )


def _show(storage: StorageSpec, items: "Sequence[Item]") -> None:
    going = [item for item in items if not item.kept]
    kept = [item for item in items if item.kept]
    if going:
        show_table(
            ("folder", "kind", "size", "days"),
            [(i.name, i.kind, in_bytes(i.num_bytes), f"{i.age_days:.0f}") for i in going],
        )
        say()
    total = in_bytes(sum(item.num_bytes for item in going))
    say(f"{storage.root}: {folders(len(going))} may go, {total}; {len(kept)} kept")
    for reason in sorted({item.kept for item in kept}):
        some = [item for item in kept if item.kept == reason]
        say(f"  {len(some)} kept, {in_bytes(sum(i.num_bytes for i in some))}: {reason}")


def in_bytes(size: int) -> str:
    """A size in the units that `--larger-than` takes."""
    unit = next((u for u in ("GB", "MB", "KB") if size >= UNITS[u]), "B")
    return f"{size / UNITS[unit]:.3g} {unit}"


def folders(count: int) -> str:
    """A count in words."""
    return "1 folder" if count == 1 else f"{count} folders"


def _confirm(going: "Sequence[Item]", *, as_json: bool) -> None:
    """Ask at a terminal; elsewhere only `--yes` deletes.

    Raises:
        SpecError: nobody can be asked.
        Abort: the answer is no.
    """
    if as_json or not sys.stdin.isatty():
        raise SpecError(
            f"found --delete without a terminal to ask at; {folders(len(going))} would be deleted; "
            "look at the list without --delete, then add --yes"
        )
    click.confirm(f"delete {folders(len(going))}?", abort=True)


def _delete(storage: StorageSpec, items: "Sequence[Item]", *, as_json: bool) -> "list[Item]":
    from loray.pipeline.clean import remove

    gone = []
    for item in remove(storage, items):
        gone.append(item)
        if not as_json:
            say(f"deleted {item.name}")
    if not as_json:
        spared = sum(not item.kept for item in items) - len(gone)
        more = f"; {folders(spared)} came to be needed meanwhile and stay" if spared else ""
        say(f"deleted {folders(len(gone))}, {in_bytes(sum(i.num_bytes for i in gone))}{more}")
    return gone


def _document(item: "Item") -> dict[str, Any]:
    return {
        "kind": item.kind,
        "folder": item.name,
        "bytes": item.num_bytes,
        "days": round(item.age_days, 2),
        "kept": item.kept or None,
    }
