r"""Regular expressions of strangers, run by Python's own `re` where they can do no harm.

An expression such as `(a+)+$` takes longer than the universe on a short name. So a child process
runs them, with limits on its time and memory.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from loray.errors import AdapterError

SECONDS = 5.0
MAX_EXPRESSION = 20_000
"""Characters."""
_CHILD = """
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
asked = json.load(sys.stdin)
found = []
for how, text in asked["expressions"]:
    try:
        match = getattr(re.compile(text), how)
        hits = [match(name) for name in asked["names"]]
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        found.append(str(error) or type(error).__name__)
    else:
        found.append([hit and (hit.groupdict().get("idx") or "") for hit in hits])
json.dump(found, sys.stdout)
"""


class Expression(NamedTuple):
    """A regular expression and how PEFT applies it."""

    how: Literal["match", "fullmatch"]
    text: str
    key: str
    """The key of the configuration that it stands under; for messages."""


def hits(expressions: Sequence[Expression], names: Sequence[str]) -> list[list[str | None]]:
    """For each expression what it finds in each name: None for nothing, else its group `idx`.

    Raises:
        AdapterError: an expression is not one, is too long, or takes longer than `SECONDS`.
    """
    if not expressions:
        return []
    for expression in expressions:
        if len(expression.text) > MAX_EXPRESSION:
            raise AdapterError(
                f"{expression.key} holds an expression of {len(expression.text):,} characters; "
                f"at most {MAX_EXPRESSION:,} are taken; list the modules' names instead"
            )
    asked = {"expressions": [(e.how, e.text) for e in expressions], "names": list(names)}
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and text)
            [sys.executable, "-I", "-S", "-c", _CHILD],
            input=json.dumps(asked), capture_output=True, text=True, timeout=SECONDS, check=True,
        )  # fmt: skip
        found: list[Any] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        keys = ", ".join(dict.fromkeys(e.key for e in expressions))
        raise AdapterError(
            f"the regular expression in {keys} takes longer than {SECONDS:.0f} seconds or too much "
            "memory over this base's module names; list the modules' names instead"
        ) from None
    for expression, result in zip(expressions, found, strict=True):
        if isinstance(result, str):
            raise AdapterError(
                f"{expression.key} is {expression.text[:80]!a}, which is not a regular expression "
                f"({ascii(result)[1:-1][:120]}); correct it, or list the modules' names"
            )
    return found
