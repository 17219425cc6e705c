"""What a spec asks of its base model, held against the base's files before anything starts."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from loray.errors import ModelError
from loray.planner.configs import config_path
from loray.planner.legal import check_runnable
from loray.planner.probe import BaseProbe, probe_base
from loray.spec.base import Finding
from loray.spec.run import RunSpec

_FIELD = re.compile(r"(base_model|method|train|resources|data|serve|evaluate)(\.[a-z_]+)+")


@dataclass
class BaseLook:
    """What was found."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What to know; nothing that stops a run."""


def look_at_base(spec: RunSpec) -> BaseLook:
    """Every fault of the base model of `spec`, and of what is asked of it, at once.

    Nothing is said of a base that is not on this disk.
    """
    probe, found = probe_base(spec.base_model), BaseLook()
    found.findings += [Finding("base_model.path", fault) for fault in probe.faults]
    found.notes += [f"base_model: {note}" for note in probe.notes]
    if not probe.faults:
        try:
            check_runnable(spec)
        except ModelError as error:
            found.findings.append(Finding(_field_in(str(error)), str(error)))
        _look_at_template(spec, found)
    found.notes += _notes_of_positions(spec, probe)
    return found


def _look_at_template(spec: RunSpec, found: BaseLook) -> None:
    folder = config_path(spec.base_model).parent
    has_chat = any(source.fields.text is None for source in spec.data.sources)
    if not has_chat or not Path(folder, "config.json").is_file():
        return
    from loray.models.template_probe import probe_template  # noqa: PLC0415 (transformers is slow)

    try:
        template = probe_template(folder, spec.data.chat)
    except ModelError as error:
        found.findings.append(Finding("base_model.path", str(error)))
        return
    found.findings += [Finding("base_model.path", fault) for fault in template.faults]
    if any(source.fields.messages is not None for source in spec.data.sources):
        found.notes += [f"data.chat: {limit}" for limit in template.limits]


def _notes_of_positions(spec: RunSpec, probe: BaseProbe) -> list[str]:
    asked = {
        "data.sequence.max_tokens": spec.data.sequence.max_tokens,
        "serve.max_context": spec.serve.max_context,
    }
    return [
        f"{name} is {tokens:,}, the base model was made for {probe.positions:,} positions "
        f"(max_position_embeddings); set it to {probe.positions} or less"
        for name, tokens in asked.items()
        if probe.positions is not None and tokens > probe.positions
    ]


def _field_in(message: str) -> str:
    """The field that a refusal begins with, for its line in the spec."""
    found = _FIELD.match(message)
    return found[0] if found else "base_model.path"
