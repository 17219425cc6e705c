"""`loray registry fsck`, `gc`, `backup`, `restore` and `rebuild`: keep a registry sound."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.exits import Exit
from loray.cli.options import Number, json_option
from loray.cli.output import complain, emit_json, say, show_table
from loray.errors import RegistryError

if TYPE_CHECKING:
    from loray.cli.registry import Place
    from loray.registry import Sweep
    from loray.registry.backup import Backup
    from loray.registry.rebuild import Rebuild

_EXAMPLES = 5
_yes = click.option("--yes", is_flag=True, help="Do it; do not ask.")


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Write damaged event records again; tie a registry of an older loray to its root.",
)
@json_option
@click.pass_obj
def fsck(place: "Place", *, repair: bool, as_json: bool) -> Exit:
    """Check every version down to its bytes; ends with 1 when something is wrong."""
    faults = place.open().fsck(repair=repair)
    if as_json:
        emit_json([fault.model_dump(mode="json") for fault in faults])
    elif faults:
        show_table(("subject", "fault"), [(fault.subject, fault.what) for fault in faults])
    else:
        say("nothing is wrong")
    return Exit.FAILED if faults else Exit.DONE


@click.command()
@click.option("--delete", is_flag=True, help="Delete; without it, only say what would go.")
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@click.option(
    "--grace-hours",
    type=Number(min=0),
    default=24.0,
    show_default=True,
    help="Keep what is younger: it may belong to a publish under way.",
)
@json_option
@click.pass_obj
def gc(place: "Place", *, delete: bool, yes: bool, grace_hours: float, as_json: bool) -> None:
    """Delete files that no version needs.

    What would go is listed first. With --delete it goes, once it was confirmed at the terminal or
    by --yes; nothing but what was listed.
    """
    opened = place.open()
    swept = opened.gc(grace_seconds=grace_hours * 3600)
    if not as_json:
        _tell_sweep(swept)
    found = {*swept.blobs, *swept.partial}
    if delete and found:
        _confirm(f"Delete these {len(found)} files and leftovers?", yes=yes, as_json=as_json)
        swept = opened.gc(dry_run=False, grace_seconds=grace_hours * 3600, only=found)
        if not as_json:
            say(f"deleted {len(swept.blobs)} files and {len(swept.partial)} leftovers")
    if as_json:
        emit_json(swept.model_dump(mode="json"))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--without-blobs", is_flag=True, help="Keep the weights by other means, such as the bucket's."
)
@json_option
@click.pass_obj
def backup(place: "Place", folder: Path, *, without_blobs: bool, as_json: bool) -> None:
    """Write a backup into the new FOLDER; others may keep using the registry."""
    from loray.registry.backup import back_up

    made = back_up(place.url, place.root, folder, with_blobs=not without_blobs)
    _tell_backup(made, f"wrote {folder}", as_json=as_json)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_yes
@json_option
@click.pass_obj
def restore(place: "Place", folder: Path, *, yes: bool, as_json: bool) -> None:
    """Verify the backup in FOLDER; with --yes, put it into an empty database and a storage root."""
    from loray.registry import backup as backups

    if yes:
        found = backups.restore(folder, place.url, place.root)
        _tell_backup(found, f"restored into {place.url} and {place.root}", as_json=as_json)
        return
    found = backups.check_backup(folder)
    _tell_backup(found, "every byte is sound", as_json=as_json)
    try:
        backups.check_restorable(found, folder, place.url, place.root)
    except RegistryError as error:
        complain(f"it cannot be restored into {place.url} and {place.root}: {error}")
    else:
        complain(f"--yes restores it into {place.url} and {place.root}")


@click.command()
@click.option(
    "--unrecorded",
    is_flag=True,
    help="Also register manifests that no event record names, under the next numbers.",
)
@_yes
@json_option
@click.pass_obj
def rebuild(place: "Place", *, unrecorded: bool, yes: bool, as_json: bool) -> None:
    """Say what the storage root can restore of a lost database; with --yes, fill an empty one."""
    from loray.registry.rebuild import rebuild as rebuild_database

    found = rebuild_database(place.url, place.root, unrecorded=unrecorded, dry_run=not yes)
    if as_json:
        counts = {table: len(rows) for table, rows in found.rows.items()}
        emit_json({"done": yes, "identity": found.identity, "rows": counts, **_open(found)})
        return
    _tell_rows({table: len(rows) for table, rows in found.rows.items()})
    for line in found.lost:
        say(f"not restored: {line}")
    for line in found.unrecorded:
        say(f"no record names {line} (--unrecorded registers it under the next number)")
    say(f"filled {place.url}" if yes else "nothing was written; --yes does it")


def _open(found: "Rebuild") -> dict[str, list[str]]:
    return {"not_restored": found.lost, "unrecorded": found.unrecorded}


def _confirm(question: str, *, yes: bool, as_json: bool) -> None:
    """Go on only if the user says so.

    Raises:
        click.UsageError: nobody can be asked, and --yes was not given.
        click.Abort: the user said no.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise click.UsageError("nothing was deleted: no terminal to ask at; add --yes")
    if not click.confirm(question):
        complain("nothing was deleted")
        raise click.exceptions.Exit(Exit.FAILED)


def _tell_sweep(swept: "Sweep") -> None:
    say(
        f"{len(swept.blobs)} files ({swept.num_bytes:,} bytes) and {len(swept.partial)} leftovers "
        "of interrupted work would go"
    )
    for digest in swept.blobs[:_EXAMPLES]:
        say(f"  sha256/{digest}")
    for name in swept.partial[:_EXAMPLES]:
        say(f"  partial/{name}")
    hidden = max(0, len(swept.blobs) - _EXAMPLES) + max(0, len(swept.partial) - _EXAMPLES)
    if hidden:
        say(f"  and {hidden} more")
    if swept.names:
        say(f"  among them files that were written for {', '.join(swept.names)}")


def _tell_backup(found: "Backup", done: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(found.model_dump(mode="json"))
        return
    _tell_rows(found.rows)
    where = "in the backup" if found.has_blobs else "not in the backup"
    say(f"{len(found.blobs)} blobs ({found.num_bytes:,} bytes), {where}")
    say(f"registry {found.identity[:8]}, as of {found.made}: {done}")


def _tell_rows(rows: dict[str, int]) -> None:
    names = (("adapter", "adapters"), ("version", "versions"), ("alias", "aliases"))
    counts = [f"{rows.get(table, 0)} {plural}" for table, plural in (*names, ("event", "events"))]
    say(", ".join(counts))
