"""`loray registry import`: take in an adapter that was trained elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loray.cli.options import json_option
from loray.cli.output import emit_json, say

if TYPE_CHECKING:
    from loray.cli.registry import Place
    from loray.registry.imports import Imported


@click.command("import")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--base-model", required=True, metavar="FOLDER_OR_ID", help="What it was trained on.")
@click.option("--revision", help="Commit of a hub id.")
@click.option(
    "--base-is-the-same",
    is_flag=True,
    help="Take it although it names another base: a copy elsewhere, or one quantized from this.",
)
@click.option(
    "--max-rank",
    type=click.IntRange(1, 1024),
    help="serve.max_rank of the servers that will serve it; that of --spec, or 64.",
)
@json_option
@click.pass_context
def import_adapter(
    context: click.Context,
    /,
    name: str,
    folder: Path,
    *,
    as_json: bool,
    **options: Any,  # noqa: ANN401 (as click parsed them)
) -> None:
    """Take in an adapter that PEFT saved in FOLDER, as the next version of NAME.

    Every tensor is compared with the base model's modules. What PEFT ignores is left out, and said.
    """
    from loray.models.adapter_import import ImportTerms
    from loray.models.identity import base_digest
    from loray.registry import Lineage
    from loray.registry.imports import base_on_disk, import_adapter

    place: Place = context.obj
    base, revision = options["base_model"], options["revision"]
    digest = base_digest(base, revision)
    terms = ImportTerms(
        base_model=base,
        base=base_on_disk(base, digest, revision),
        is_same_base=options["base_is_the_same"],
        max_rank=options["max_rank"] or _slot_rank(context),
    )
    lineage = Lineage(base_model=base, base_digest=digest)
    done = import_adapter(place.open().add, name, folder, lineage=lineage, terms=terms)
    if as_json:
        report = {"left_out": done.report.left_out, "notes": done.report.notes}
        emit_json(done.version.model_dump(mode="json") | report)
    else:
        _tell(done)


def _tell(done: "Imported") -> None:
    say(f"{done.version.ref} holds the adapter; it is {done.version.state}")
    if done.report.left_out:
        say(f"left out, neither opened nor copied: {', '.join(done.report.left_out)}")
    for note in done.report.notes:
        say(f"note: {note}")


def _slot_rank(context: click.Context) -> int:
    """`serve.max_rank` of the spec that the group was given, or the default."""
    from loray.models.adapter_import import DEFAULT_SLOT_RANK
    from loray.spec.load import load_run_spec

    spec = context.parent.params.get("spec") if context.parent else None
    return load_run_spec(spec).serve.max_rank if spec else DEFAULT_SLOT_RANK
