"""`loray registry`: look at versions, move aliases, carry adapters in and out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loray.cli import upkeep
from loray.cli.imports import import_adapter
from loray.cli.options import json_option, noted, spec_option
from loray.cli.output import complain, emit_json, say, show_table
from loray.cli.rank import rank
from loray.spec.run import StorageSpec

if TYPE_CHECKING:
    from loray.registry import Alias, Registry, Version


_OF_A_SPEC = "; for the storage of a spec: loray registry --spec SPEC ls"


@dataclass(frozen=True)
class Place:
    """Which registry a command works on."""

    url: str
    root: str
    is_given: bool
    """Whether the command line says which; else it is that of this folder."""

    def open(self) -> "Registry":
        """The registry, its tables made if they are missing."""
        from loray.registry import Registry

        return Registry(self.url, self.root)


def _not_empty(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Note the value; an empty one is an unset variable of a script, and names no place."""
    if value is not None and not value.strip():
        raise click.BadParameter("found nothing; name a place, or leave it out", context, option)
    return noted(context, option, value)


@click.group()
@spec_option
@click.option(
    "--url",
    callback=_not_empty,
    help="The database; that of a spec without `storage` when not given.",
)
@click.option("--root", callback=_not_empty, help="The storage root, likewise.")
@click.pass_context
def registry(context: click.Context, spec: Path | None, url: str | None, root: str | None) -> None:
    """Versions of adapters, and the aliases that move between them.

    A version is written name@3, name@alias, or name for its champion.
    """
    from loray.spec.load import load_run_spec

    storage = load_run_spec(spec).storage if spec else StorageSpec()
    is_given = any((spec, url, root))
    context.obj = Place(url or storage.registry, root or storage.root, is_given=is_given)


for command in (rank, upkeep.fsck, upkeep.gc, upkeep.backup, upkeep.restore, upkeep.rebuild):
    registry.add_command(command)
registry.add_command(import_adapter)


@registry.command("ls")
@json_option
@click.pass_obj
def list_adapters(place: Place, *, as_json: bool) -> None:
    """List the adapters with their aliases."""
    adapters = place.open().adapters()
    if as_json:
        emit_json([adapter.model_dump(mode="json") for adapter in adapters])
        return
    if not adapters:
        more = "" if place.is_given else _OF_A_SPEC
        complain(f"nothing was ever registered at {place.url} with the root {place.root}{more}")
    show_table(
        ("adapter", "versions", "aliases"),
        [
            (a.name, a.last_version, ", ".join(f"{k}: {v}" for k, v in sorted(a.aliases.items())))
            for a in adapters
        ],
    )


@registry.command()
@click.argument("ref")
@json_option
@click.pass_obj
def show(place: Place, ref: str, *, as_json: bool) -> None:
    """Show a version with its scores and where it comes from; of a bare name, all versions."""
    opened = place.open()
    versions = opened.versions(ref) if "@" not in ref else (opened.resolve(ref),)
    if not versions:
        opened.resolve(ref)  # says that there is no such adapter
    if as_json:
        emit_json([_document(opened, version) for version in versions])
    elif "@" in ref:
        _tell(opened, versions[0])
    else:
        show_table(
            ("version", "state", "created", "scores"),
            [(v.ref, v.state, v.created, _scores(v)) for v in versions],
        )


@registry.command()
@click.argument("name")
@click.argument("alias")
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option(
    "--expect",
    type=click.IntRange(min=0),
    metavar="GENERATION",
    help="Refuse unless the alias has moved this often.",
)
@json_option
@click.pass_obj
def alias(
    place: Place, name: str, alias: str, *, number: int | None, expect: int | None, as_json: bool
) -> None:
    """Show where ALIAS of NAME points, or point it at version NUMBER."""
    opened = place.open()
    now = opened.alias(name, alias)
    if number is not None:
        generation = now.generation if expect is None else expect
        now = opened.move_alias(name, alias, number, expected_generation=generation)
    _tell_alias(now, as_json=as_json)


@registry.command()
@click.argument("ref")
@click.option("--alias", default="champion", show_default=True)
@click.option("--reason", default="", help="Written into the log.")
@click.option("--force", is_flag=True, help="Also where the alias names a newer version.")
@json_option
@click.pass_obj
def promote(place: Place, ref: str, *, alias: str, reason: str, force: bool, as_json: bool) -> None:
    """Point an alias at a version that passed its gates; to an older one only with --force."""
    opened = place.open()
    version = opened.resolve(ref)
    generation = opened.alias(version.name, alias).generation
    moved = opened.promote(
        version, alias, expected_generation=generation, allow_older=force, reason=reason
    )
    _tell_alias(moved, as_json=as_json)


@registry.command()
@click.argument("name")
@click.option("--alias", default="champion", show_default=True)
@click.option("--reason", default="", help="Written into the log.")
@json_option
@click.pass_obj
def rollback(place: Place, name: str, *, alias: str, reason: str, as_json: bool) -> None:
    """Point an alias back at the version that it named before."""
    _tell_alias(place.open().rollback(name, alias, reason=reason), as_json=as_json)


@registry.command()
@click.argument("ref")
@json_option
@click.pass_obj
def lineage(place: Place, ref: str, *, as_json: bool) -> None:
    """Show what a version was made from, back to the beginning."""
    opened = place.open()
    versions = opened.lineage(ref)
    if as_json:
        emit_json([_document(opened, version) for version in versions])
        return
    for version in versions:
        _tell(opened, version)


@registry.command("export")
@click.argument("ref")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--layout", type=click.Choice(["peft", "ray-serve-llm"]), default="peft", show_default=True
)
@click.pass_obj
def export_version(place: Place, ref: str, folder: Path, *, layout: str) -> None:
    """Write a version where plain PEFT, vLLM or Ray Serve LLM reads it."""
    opened = place.open()
    written = opened.export(
        ref, folder, layout="ray-serve-llm" if layout == "ray-serve-llm" else "peft"
    )
    say(f"wrote {opened.resolve(ref).ref} to {written}")


def _scores(version: "Version") -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(version.scores.items()))


def _document(opened: "Registry", version: "Version") -> dict[str, Any]:
    from loray.registry.derive import how_made

    return version.model_dump(mode="json") | {"how_made": how_made(opened, version) or None}


def _tell(opened: "Registry", version: "Version") -> None:
    from loray.registry.derive import how_made

    say(f"{version.ref}  {version.state}, made {version.created}")
    say(f"  digest      {version.digest}")
    for name, value in version.lineage.model_dump(mode="json", exclude_none=True).items():
        if value:
            say(f"  {name:<15} {', '.join(value) if isinstance(value, list) else value}")
    if how := how_made(opened, version):
        say(f"  {'how made':<15} {how}")
    if version.scores:
        say(f"  {'scores':<15} {_scores(version)}")


def _tell_alias(alias: "Alias", *, as_json: bool) -> None:
    if as_json:
        emit_json(alias.model_dump(mode="json"))
    elif alias.version is None:
        say(f"{alias.name}@{alias.alias} points nowhere (generation {alias.generation})")
    else:
        say(
            f"{alias.name}@{alias.alias} is {alias.name}@{alias.version} "
            f"(generation {alias.generation})"
        )
