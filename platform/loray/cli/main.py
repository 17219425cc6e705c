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
from loray.cli.exits import Exit, exit_for
from loray.cli.output import complain, emit_json
from loray.errors import LorayError, SpecError
from loray.spec.faults import Fault

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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="loray")
@click.option("--verbose", "-v", is_flag=True, help="Show what happens inside, too.")
def cli(*, verbose: bool) -> None:
    """LoRA on Ray: one YAML spec takes a corpus to a served adapter.

    Exit codes: 0 done; 1 something failed, apply again to continue; 2 the spec or the command is
    wrong, nothing was started; 3 another process works on the same stage; 4 a gate refused the
    adapter; 130 interrupted.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )


for verb in VERBS:
    cli.add_command(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors of ours are printed without a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(args=words, prog_name="loray", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return Exit.WRONG_SPEC
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LorayError as error:
        _tell(error, as_json="--json" in words)
        return exit_for(error)
    except (click.Abort, BrokenPipeError, ModuleNotFoundError) as error:
        return _end(error)
    return int(code or Exit.DONE)


def _end(error: Exception) -> Exit:
    """What to do about an end that is neither ours nor a fault in the code.

    Raises:
        ModuleNotFoundError: it is a fault in the code after all.
    """
    match error:
        case click.Abort():
            complain("interrupted; apply again to continue where it stopped")
            return Exit.INTERRUPTED
        case ModuleNotFoundError(name=str(module)) if module.partition(".")[0] != "loray":
            complain(f"found no module {module}; this verb needs it; pip install 'loray[all]'")
        case BrokenPipeError():  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        case _:
            raise error
    return Exit.FAILED


def _tell(error: LorayError, *, as_json: bool) -> None:
    if as_json:
        emit_json({"error": _error_document(error)})
    elif isinstance(error, SpecError):
        complain(str(error))
    else:
        complain(f"{type(error).__name__}: {error}")


def _error_document(error: LorayError) -> dict[str, object]:
    document: dict[str, object] = {"type": type(error).__name__, "message": str(error)}
    faults = [fault for fault in getattr(error, "faults", ()) if isinstance(fault, Fault)]
    if faults:
        document["faults"] = [
            {
                "source": fault.place.source,
                "line": fault.place.line or None,
                "column": fault.place.column or None,
                "path": fault.path,
                "message": fault.message,
            }
            for fault in faults
        ]
    return document
