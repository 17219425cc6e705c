'''A step of the user's own: a pure function from the turns of a row to turns, or to a rejection.

    """In cleaning.py."""
    from loray.data.steps.own import Reject, Turn

    def without_greetings(turns: list[Turn]) -> list[Turn] | Reject:
        if turns[-1]["content"].startswith("Hello"):
            return Reject("greeting")
        return [{**turn, "content": turn["content"].strip()} for turn in turns]

A spec names it `cleaning:without_greetings`. Every worker imports it, so its module has to be
importable there: installed in the image, in the job's `working_dir`, or a package among its
`py_modules`. Running again must give the same rows: no clock, no dice, no network, no order of
rows. The function gets turns of its own, and may change them before it returns them.
'''

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict

from loray.errors import DatasetError, SpecError
from loray.models import markup
from loray.models.tool_use import JSON_ROLES
from loray.spec.imports import load_named

REASON = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
ROLES = frozenset({"system", "user", "assistant", "reasoning", "text"}) | JSON_ROLES


class Turn(TypedDict):
    """One message of a row."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a row is rejected: lower-case letters, digits and underscores, as `too_short`."""

    reason: str


Function: TypeAlias = Callable[[list[Turn]], list[Turn] | Reject]


def load_function(path: str) -> Function:
    """The function at `package.module:function`, in this process.

    Raises:
        SpecError: there is no such function, or it cannot be called with one argument.
    """
    found = load_named(path, kind="function", use="step", where="on every node")
    if not callable(found) or inspect.isclass(found) or inspect.iscoroutinefunction(found):
        raise SpecError(
            f"{path!r} is {_kind(found)}; wanted a plain function from a list of turns to a list "
            "of turns or a Reject; write one"
        )
    _check_signature(found, path)
    function: Function = found
    return function


def apply(function: Function, path: str, turns: Sequence[markup.Turn]) -> list[Turn] | Reject:
    """What `function` makes of a row's turns.

    What it raises passes through, with a note of where it came from.

    Args:
        path: as it stands in the spec, for messages.

    Raises:
        DatasetError: it returned neither turns nor a rejection.
    """
    own: list[Turn] = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    try:
        result = function(own)
    except Exception as error:
        error.add_note(f"raised by the step {path!r}; to reject a row, return Reject('reason')")
        raise
    fault = _fault_of(result)
    if fault is not None:
        raise DatasetError(
            f"the step {path!r} returned {fault}; wanted a list of turns "
            "({'role': ..., 'content': ...}) or Reject('reason'); correct the function"
        )
    return result


def source_digest(function: Function) -> str:
    """16 hex digits of the file that `function` is in: other code makes another dataset.

    What the file imports is not covered.
    """
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        file = None
    if file is None:
        raise SpecError(f"{function!r} has no source file; wanted Python source; write the step so")
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]


def _check_signature(function: Callable[..., object], path: str) -> None:
    try:
        inspect.signature(function).bind([])
    except TypeError as error:
        raise SpecError(
            f"{path!r} cannot be called with a list of turns alone ({error}); wanted a function "
            "of one argument; give the others defaults"
        ) from error


def _fault_of(result: object) -> str | None:
    """What is wrong with what a function returned."""
    match result:
        case Reject(reason=reason):
            is_sound = isinstance(reason, str) and REASON.fullmatch(reason) is not None
            return None if is_sound else f"Reject({reason!r}), no name of a-z, 0-9 and _"
        case None:
            return "None (is a `return turns` missing?)"
        case list() if not result:
            return "no turns"
        case list():
            return next(filter(None, map(_fault_of_turn, result)), None)
        case _:
            return _kind(result)


def _fault_of_turn(turn: object) -> str | None:
    if not isinstance(turn, dict) or turn.keys() != {"role", "content"}:
        keys = f" with the keys {sorted(map(str, turn))}" if isinstance(turn, dict) else ""
        return f"a list with {_kind(turn)}{keys} in it"
    if not isinstance(turn["role"], str) or turn["role"] not in ROLES:
        return f"a turn with the role {turn['role']!r}, none of {', '.join(sorted(ROLES))}"
    if not isinstance(turn["content"], str):
        return f"a turn whose content is {_kind(turn['content'])}"
    return None if _is_text(turn["content"]) else "a turn with half a surrogate pair in it"


def _is_text(content: str) -> bool:
    try:
        content.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if inspect.iscoroutinefunction(value):
        return "an async function"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
