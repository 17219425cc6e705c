"""YAML to a RunSpec, or every fault in it at once, each with its line and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from loray.errors import SpecError
from loray.spec import explain, yaml12
from loray.spec.base import Finding
from loray.spec.data import DataSpec
from loray.spec.faults import Fault, Path, Place, dotted, refuse
from loray.spec.files import check_blocks
from loray.spec.mend import mended, overlap
from loray.spec.overrides import lay_over, path_of
from loray.spec.run import RunSpec, StorageSpec
from loray.spec.train import BaseModelSpec
from loray.spec.yaml12 import MAX_BYTES, Document

_MAX_NESTING = 8
"""Models within models; how often rules can come to light by replacing others."""


def load_run_spec(path: str | FilePath, overrides: Iterable[str] = ()) -> RunSpec:
    """The spec in a YAML file, overrides laid over it; files it names are not looked at.

    Args:
        overrides: `path=value` pairs, as `--set` takes them.

    Raises:
        SpecError: lists every fault; its `faults` hold them one by one.
    """
    return _load(read_document(path), overrides, with_files=False)


def load_checked(path: str | FilePath, overrides: Iterable[str] = ()) -> RunSpec:
    """As `load_run_spec`, and what the spec names on this machine's disk is there.

    Raises:
        SpecError: lists every fault; its `faults` hold them one by one.
    """
    return _load(read_document(path), overrides, with_files=True)


def refusal_of(
    path: str | FilePath, overrides: Iterable[str], findings: Iterable[Finding]
) -> SpecError:
    """What to raise when a spec that is sound by itself does not fit what it names.

    Args:
        path: the file that the spec was loaded from.
        overrides: as they were laid over it.
    """
    document = read_document(path)
    lay_over(document, overrides)
    examined = _Examined(document, None, document.data)
    for finding in findings:
        examined.add((), finding)
    return refuse(document.source, examined.faults)


def parse_run_spec(text: str, source: str = "spec", overrides: Iterable[str] = ()) -> RunSpec:
    """The spec in a YAML text; `source` is what faults call it.

    Raises:
        SpecError: lists every fault.
    """
    return _load(yaml12.read(text, source), overrides, with_files=False)


def read_document(path: str | FilePath) -> Document:
    """The YAML in a file, its faults of form beside it.

    Raises:
        SpecError: the file cannot be read as text.
    """
    file = FilePath(path)
    try:
        if file.is_fifo() and not any(file.is_relative_to(shell) for shell in ("/dev", "/proc")):
            raise SpecError(
                f"{path}: is a named pipe, which is read only once; write a file instead"
            )
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 4)
        return yaml12.read(data.decode("utf-8-sig"), str(path))
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise SpecError(
            f"{path}: {reason}; wanted a YAML file; `loray init {path}` writes a starter spec"
        ) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"found byte 0x{data[error.start]:02x}; wanted UTF-8; save the file as UTF-8"
        raise refuse(str(path), [Fault(Place(str(path), line, 1), "", message)]) from error


@dataclass(slots=True)
class _Examined:
    """A document held against the spec's models."""

    document: Document
    spec: RunSpec | None
    """None when anything was refused."""
    sound: object
    """The document's data, stand-ins where it was refused."""
    replaced: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, owner: Path, finding: Finding) -> None:
        """Note what a rule of the model at `owner` found, unless a stand-in led to it."""
        about = [(*owner, *path_of(name)) for name in (finding.at, *finding.reads)]
        if not any(overlap(path, other) for path in about for other in self.replaced):
            place = self.document.place_of(about[0])
            self.faults.append(Fault(place, dotted(about[0]), finding.message))


def _load(document: Document, overrides: Iterable[str], *, with_files: bool) -> RunSpec:
    lay_over(document, overrides)
    if document.data is None:
        raise refuse(document.source, document.faults or [_empty(document)])
    examined = _examine(document)
    if with_files:
        for finding in _findings_on_disk(examined.sound):
            examined.add((), finding)
    told = {fault.path for fault in document.faults}
    faults = document.faults + [f for f in examined.faults if f.path not in told]
    if faults or examined.spec is None:
        raise refuse(document.source, faults)
    return examined.spec


def _empty(document: Document) -> Fault:
    message = "found nothing; wanted a spec; `loray init FILE` writes a starter"
    return Fault(Place(document.source, 1, 1), "", message)


def _examine(document: Document) -> _Examined:
    """Find every fault: of single fields, and of rules over several.

    pydantic reaches a rule only when every field of its model is sound. So each refused value is
    replaced by one that is accepted and the rules are asked again; what they then say about a
    replaced value is left out.
    """
    errors = _errors_in(document.data)
    if not errors:
        return _Examined(document, RunSpec.model_validate(document.data), document.data)
    refusals = list(explain.refusals(errors))
    replaced = [path for path, _, _ in refusals]
    examined = _Examined(document, None, mended(document.data, replaced), replaced)
    for path, message, is_key in refusals:
        if message is not None:
            place = document.place_of(path, key=is_key)
            examined.faults.append(Fault(place, dotted(path), message))
    _ask_the_rules(examined, errors)
    return examined


def _ask_the_rules(examined: _Examined, errors: list[ErrorDetails]) -> None:
    """Add what the rules find, from the innermost models outwards.

    A model whose rule failed is replaced too, so that the rules of the one around it are reached.
    """
    for _ in range(_MAX_NESTING):
        findings = dict.fromkeys(explain.rule_findings(errors))
        for owner, finding in findings:
            examined.add(owner, finding)
        if any(owner == () for owner, _ in findings):
            return  # the rules of the whole spec come last
        unsound = [owner for owner, _ in findings]
        examined.sound = mended(examined.sound, unsound)
        errors = _errors_in(examined.sound)
        left = [refusal.path for refusal in explain.refusals(errors)]  # of a half-replaced model
        examined.sound = mended(examined.sound, left)
        examined.replaced += unsound + left


def _errors_in(data: object) -> list[ErrorDetails]:
    try:
        RunSpec.model_validate(data)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _findings_on_disk(sound: object) -> list[Finding]:
    """What the sound part of a spec names and this machine lacks."""
    if not isinstance(sound, dict):
        return []
    base_model = BaseModelSpec.model_validate(sound["base_model"])
    data = DataSpec.model_validate(sound["data"])
    storage = StorageSpec.model_validate(sound.get("storage", {}))
    return list(check_blocks(base_model, data, storage))
