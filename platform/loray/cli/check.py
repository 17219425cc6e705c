"""`loray validate` and `loray schema`."""

from pathlib import Path

import click

from loray.cli.looked_into import load_looked_into
from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import emit_json, say
from loray.spec.run import RunSpec


@click.command()
@spec_argument
@set_option
@json_option
def validate(spec: Path, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Name every fault of a spec at once, with its line and what to do.

    The first rows of each source on this disk are looked at too.
    """
    run, notes = load_looked_into(spec, overrides)
    if as_json:
        emit_json({"spec": str(spec), "name": run.name, "sound": True, "notes": notes})
        return
    say(f"{spec} is sound: {_in_a_sentence(run)}")
    for note in notes:
        say(f"  {note}")


@click.command()
@click.option("--markdown", is_flag=True, help="Print the reference page instead.")
def schema(*, markdown: bool) -> None:
    """Print the spec's JSON Schema, which editors complete and check from."""
    from loray.spec.schema import json_schema, reference_page

    if markdown:
        click.echo(reference_page(), nl=False)
    else:
        emit_json(json_schema())


def _in_a_sentence(run: RunSpec) -> str:
    method = f"a LoRA of rank {run.method.rank}" if run.method.kind == "lora" else "all weights"
    return (
        f"{run.name}, {method} on {run.base_model.path}, {run.train.steps} steps of "
        f"{run.train.batch.global_size} sequences"
    )
