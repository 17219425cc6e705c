"""What a spec names by its import path: code of the user's own, looked up in this process."""

import importlib
import re
import sys

from loray.errors import SpecError

PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def load_named(path: str, *, kind: str, use: str, where: str) -> object:
    """What `package.module:name` names.

    Args:
        kind: what it should be, such as `function`, for messages.
        use: what it is for, such as `step`, for messages.
        where: it has to be importable, such as `on every node`, for messages.

    Raises:
        SpecError: the path has another form, or there is no such module or name.
    """
    if PATH.fullmatch(path) is None:
        raise SpecError(f"found the {kind} {path!r}; wanted package.module:{kind}; write it so")
    module_name, _, name = path.partition(":")
    found: object = getattr(_import(module_name, f"{use} {path!r}", where), name, None)
    if found is None:
        raise SpecError(
            f"module {module_name!r} has no {kind} {name!r}; wanted {path!r}; define it at the "
            "top of the module, or correct the path"
        )
    return found


def _import(name: str, what: str, where: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        is_ours = error.name is not None and f"{name}.".startswith(f"{error.name}.")
        if not is_ours:
            error.add_note(f"while importing {name!r} for the {what}")
            raise
        raise SpecError(
            f"module {error.name!r} of the {what} is not importable by {sys.executable}; "
            f"wanted it {where}; install it in the image, or submit the job with it in its "
            "working_dir or py_modules"
        ) from error
