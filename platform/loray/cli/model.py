"""`loray model`: base models on this machine, and what loray can do with them."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from loray.cli.exits import Exit
from loray.cli.model_pull import pull
from loray.cli.options import json_option
from loray.cli.output import complain, emit_json, say, show_table

if TYPE_CHECKING:
    from loray.pipeline.base_summary import BaseSummary

GIB = 2**30


@click.group()
def model() -> None:
    """Base models: fetch one, list those that are here, see what can be done with them."""


model.add_command(pull)


@model.command("ls")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the base models on this machine.

    Those that were pulled, those under `models/`, and the hub's cache (HF_HOME).
    """
    from loray.models.found_bases import found_bases
    from loray.models.hub_cache import cache_folder
    from loray.pipeline.base_summary import summarize

    found = [summarize(base) for base in found_bases()]
    if as_json:
        emit_json([asdict(base) for base in found])
        return
    if not found:
        complain(
            f"found no base model in models/ or in the hub's cache {cache_folder()}; fetch one: "
            "loray model pull smollm2"
        )
        return
    show_table(
        ("base", "revision", "type", "parameters", "dtype", "size", "usable", "from"),
        [_row(base) for base in found],
    )


@model.command()
@click.argument("base", metavar="FOLDER_OR_ID")
@json_option
def show(base: str, *, as_json: bool) -> None:
    """Say what a base model is, its identity and licence, and the memory it takes."""
    from loray.pipeline.base_summary import (
        find_base,
        identity_of,
        memory_of,
        summarize,
        with_template,
    )

    found = find_base(base)
    about = with_template(summarize(found))
    identity = identity_of(found) if about.type else None
    memory = memory_of(about) if about.usable else {}
    if as_json:
        sizes = {k: {"train_bytes": t, "serve_bytes": s} for k, (t, s) in memory.items()}
        emit_json(asdict(about) | {"identity": identity, "memory": sizes})
        return
    for name, value in _lines(about, identity):
        say(f"{name:<13}{value}")
    for form, (train, serve) in memory.items():
        say(f"{'memory':<13}{form}: {train / GIB:.1f} GiB to train, {serve / GIB:.1f} GiB to serve")
    _tell(about)


@model.command()
@click.argument("base", metavar="FOLDER_OR_ID")
@json_option
def check(base: str, *, as_json: bool) -> Exit:
    """Say whether loray can train and serve a base model, and why not; ends with 0 or 2.

    Its files are looked at, none of its code is run.
    """
    from loray.pipeline.base_summary import find_base, summarize, with_template

    about = with_template(summarize(find_base(base)))
    if as_json:
        emit_json(
            {"base": base, "usable": about.usable, "faults": about.faults, "notes": about.notes}
        )
    else:
        verdict = "can be trained on and served" if about.usable else "cannot be used"
        say(f"{base} {verdict}")
        _tell(about)
    return Exit.DONE if about.usable else Exit.WRONG_SPEC


def _row(base: "BaseSummary") -> tuple[object, ...]:
    return (
        base.name,
        (base.revision or "")[:12] or None,
        base.type,
        f"{base.parameters:,}",
        base.dtype,
        _size(base.size),
        "yes" if base.usable else "no",
        base.source,
    )


def _lines(about: "BaseSummary", identity: str | None) -> list[tuple[str, object]]:
    held = f"{about.parameters:,} in {about.dtype or 'nothing'}, {_size(about.size)}"
    source = about.source if about.revision is None else f"{about.source} at {about.revision}"
    return [
        ("base", about.name),
        ("from", source),
        ("folder", about.folder),
        ("architecture", f"{about.architecture or '-'} ({about.type or 'no type'})"),
        ("parameters", held),
        ("positions", f"{about.positions:,}" if about.positions else "not said"),
        ("vocabulary", f"{about.vocabulary:,}" if about.vocabulary else "not said"),
        ("licence", about.licence or "not said"),
        ("identity", identity or "none"),
        ("usable", "yes" if about.usable else "no"),
    ]


def _tell(about: "BaseSummary") -> None:
    for fault in about.faults:
        say(f"fault: {fault}")
    for note in about.notes:
        say(f"note: {note}")


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
