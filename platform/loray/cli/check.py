"""`loray validate` and `loray schema`."""

from pathlib import Path

import click

from loray.cli.options import json_option, set_option, spec_argument
from loray.cli.output import emit_json, say
from loray.spec.run import RunSpec


@click.command()
@spec_argument
@set_option
@json_option
def validate(spec: Path, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Name every fault of a spec at once, with its line and what to do."""
    from loray.spec.load import load_checked

    run = load_checked(spec, overrides)
    if as_json:
        emit_json({"spec": str(spec), "name": run.name, "sound": True})
    else:
        say(f"{spec} is sound: {_in_a_sentence(run)}")


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
