"""Arguments and options that several verbs share."""

import math
from pathlib import Path
from typing import TypeVar, cast

import click

from loray.cli.hints import given

T = TypeVar("T")


class Number(click.FloatRange):
    """A number within limits; neither NaN, which is within any, nor an infinite one."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number that `value` names."""
        number = float(super().convert(cast("float", value), param, ctx))
        if not math.isfinite(number):
            self.fail(f"found {value}; wanted a number", param, ctx)
        return number


def noted(context: click.Context, option: click.Parameter, value: T) -> T:
    """Note what was given, for the commands that messages name; the value as it came."""
    if value and option.name:
        setattr(given(context), option.name, value if isinstance(value, tuple) else str(value))
    return value


spec_argument = click.argument("spec", type=click.Path(path_type=Path), callback=noted)

spec_option = click.option(
    "--spec",
    type=click.Path(path_type=Path),
    callback=noted,
    help="Use the storage of this spec.",
)

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    callback=noted,
    help="Override a value of the spec, such as train.steps=200; may be given again.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of lines."
)
