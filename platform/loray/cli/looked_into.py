"""A spec whose base model and sources were looked into before anything starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loray.spec.run import RunSpec


def load_looked_into(spec: Path, overrides: Sequence[str]) -> "tuple[RunSpec, list[str]]":
    """The spec, and what to know of its base model and its sources; a sentence each.

    Raises:
        SpecError: lists every fault of the spec, or of what it names on this machine's disk.
    """
    from loray.spec.load import load_checked, refusal_of

    run = load_checked(spec, overrides)
    from loray.data.sources.peek import look_into
    from loray.pipeline.probe import look_at_base

    base, looked = look_at_base(run), look_into(run.data)
    findings = [*base.findings, *looked.findings]
    if findings:
        raise refusal_of(spec, overrides, findings)
    return run, [*base.notes, *looked.notes]
