"""A spec whose sources were looked into: their first rows are such as it says."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loray.spec.run import RunSpec


def load_looked_into(spec: Path, overrides: Sequence[str]) -> "tuple[RunSpec, list[str]]":
    """The spec, and what of its sources would be left out; a sentence each.

    Raises:
        SpecError: lists every fault of the spec, or of what it names on this machine's disk.
    """
    from loray.spec.load import load_checked, refusal_of

    run = load_checked(spec, overrides)
    from loray.data.sources.peek import look_into

    looked = look_into(run.data)
    if looked.findings:
        raise refusal_of(spec, overrides, looked.findings)
    return run, looked.notes
