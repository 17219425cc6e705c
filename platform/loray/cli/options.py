"""Arguments and options that several verbs share."""

from pathlib import Path

import click

spec_argument = click.argument("spec", type=click.Path(path_type=Path))

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override a value of the spec, such as train.steps=200; may be given again.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of lines."
)
