"""How a command ends that met an error: a line or two for the user, and an exit code."""

import errno
import os
import sys

import click

from loray.cli.exits import Exit, exit_for
from loray.cli.output import complain, emit_json
from loray.errors import LorayError, SpecError
from loray.machines.disk import full_disk_words
from loray.spec.faults import Fault

MAX_CHARS = 600
"""Of a library's own message."""
REMEDIES = {
    errno.EROFS: "mount it writable, or set storage.root to a place that can be written",
    errno.EACCES: "let this user read and write there, or name another place",
    errno.EPERM: "let this user do that, or name another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n) and run this again",
    errno.ENFILE: "close files on this machine and run this again",
    errno.ENOMEM: "free some memory and run this again",
    errno.ENOTDIR: "a part of that path is a file; name another place, or move the file away",
    errno.EIO: "look after the disk, and run this again",
}
"""What to do about an error of the system."""


def is_unicode(text: str) -> bool:
    """Whether a name from the system could be decoded; Python keeps other bytes as surrogates."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def end_with(error: BaseException, *, as_json: bool = False) -> int:
    """Say what ended the command; returns its exit code.

    Raises:
        BaseException: `error`, when it is a fault in the code.
    """
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message())
            return Exit.WRONG_SPEC
        case click.ClickException():
            error.show()
            return error.exit_code
        case LorayError():
            _tell(error, as_json=as_json)
            return exit_for(error)
        case click.Abort():
            complain("interrupted; apply again to continue where it stopped")
            return Exit.INTERRUPTED
        case BrokenPipeError():  # whoever read our output has seen enough
            _abandon_output()
            return Exit.FAILED
    if (text := _of_others(error)) is None:
        raise error
    _complain("Error", text, as_json=as_json)
    return Exit.FAILED


def _abandon_output() -> None:
    """Send what is left to print nowhere, so that Python does not fail over it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _emit(document: dict[str, object], text: str) -> None:
    """Print the document, or the text where errors go if the output cannot be written."""
    try:
        emit_json(document)
    except OSError as error:
        _abandon_output()
        complain(f"{text}\nnor could this be written as JSON: {error.strerror}")


def _of_others(error: BaseException) -> str | None:
    """What to say of what is neither an error of ours nor a fault in the code; else None."""
    if (words := full_disk_words(error) or _of_the_system(error)) is not None:
        return words
    ray = sys.modules.get("ray")
    if ray is not None and isinstance(error, ray.exceptions.RayError):
        return f"Ray failed: {_last_line(error)}; run this again to continue, -v says more"
    return None


def _of_the_system(error: BaseException) -> str | None:
    match error:
        case UnicodeEncodeError(object=str(name)) if not is_unicode(name):
            return f"found {name!r}, which is not UTF-8; rename it, or work in another folder"
        case RuntimeError() if "home directory" in str(error):  # of pathlib
            return "found no home folder for this user; set HOME to a folder it may write"
        case FileNotFoundError(filename=None):
            return "the working folder is gone; change to one that is there and run this again"
        case ModuleNotFoundError(name=str(module)) if module.partition(".")[0] != "loray":
            return f"found no module {module}; this verb needs it; pip install 'loray[all]'"
        case OSError(errno=int(number)):
            place = f": {error.filename}" if error.filename else ""
            remedy = REMEDIES.get(number, "run this again once that is mended")
            return f"{_short(error.strerror or str(error))}{place}; {remedy}"
        case _:
            return None


def _last_line(error: BaseException) -> str:
    """Of a remote traceback, the error that it ends with; of anything else, its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    is_remote = type(error).__name__.startswith("RayTaskError")
    return _short(lines[-1 if is_remote else 0]) if lines else type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + " ..."


def _tell(error: LorayError, *, as_json: bool) -> None:
    if as_json:
        _emit({"error": _error_document(error)}, str(error))
    elif isinstance(error, SpecError):
        complain(str(error))
    else:
        complain(f"{type(error).__name__}: {error}")


def _complain(kind: str, text: str, *, as_json: bool) -> None:
    if as_json:
        _emit({"error": {"type": kind, "message": text}}, text)
    else:
        complain(text)


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
