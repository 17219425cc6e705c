"""`loray`: one YAML spec takes a corpus to a served adapter."""

import logging
import os
import sys
from collections.abc import Sequence

import click

from loray import __version__
from loray.cli import (
    apply,
    chat,
    check,
    clean,
    data,
    doctor,
    initial,
    look,
    plan,
    registry,
    serve,
    sweep,
)
from loray.cli.endings import end_with, is_unicode
from loray.cli.exits import Exit
from loray.cli.hints import completed_by, given
from loray.cli.output import complain
from loray.errors import LorayError
from loray.machines.signals import interruptible

VERBS = (
    initial.init,
    check.validate,
    check.schema,
    plan.plan,
    apply.apply,
    sweep.sweep,
    look.status,
    look.report,
    doctor.doctor,
    data.data,
    registry.registry,
    clean.clean,
    serve.serve,
    chat.chat,
    serve.quickstart,
)

GO_ON = ("apply", "sweep", "doctor", "quickstart")
"""Verbs that go on, when they are run again, where they stopped."""


class Verbs(click.Group):
    """The verbs; commands that their errors name are completed by what the user gave."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except LorayError as error:
            error.args = (completed_by(str(error), given(ctx)),)
            raise


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="loray")
@click.option("--verbose", "-v", is_flag=True, help="Show what happens inside, too.")
def cli(*, verbose: bool) -> None:
    """LoRA on Ray: one YAML spec takes a corpus to a served adapter.

    Exit codes: 0 done; 1 something failed, apply again to continue; 2 the spec or the command is
    wrong, nothing was started; 3 another process works on the same stage; 4 a gate refused the
    adapter; 5 the plan does not fit the device; 130 interrupted (SIGINT); 143 told to end
    (SIGTERM).
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )


for verb in VERBS:
    cli.add_command(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; what may be expected to fail leaves no traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if odd := next((word for word in words if not is_unicode(word)), None):
        complain(f"found {odd!r}, which is not UTF-8; rename the file, or leave the argument out")
        return Exit.WRONG_SPEC
    with interruptible(_farewell(words)) as heard:
        try:
            return int(cli.main(args=words, prog_name="loray", standalone_mode=False) or Exit.DONE)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - told, or raised
            if heard.exit_code is not None:  # whatever broke, broke because we are to end
                return heard.exit_code
            return end_with(error, as_json="--json" in words)


def _farewell(words: Sequence[str]) -> str:
    """What is said when a signal ends the command."""
    verb = next((word for word in words if not word.startswith("-")), "")
    if verb in GO_ON:
        return "interrupted; apply again to continue where it stopped"
    if verb == "serve":
        is_ours = not os.environ.get("RAY_ADDRESS")
        stays = "the application stays on the cluster at RAY_ADDRESS"
        return f"interrupted; {'no more requests are taken' if is_ours else stays}"
    return "interrupted"
