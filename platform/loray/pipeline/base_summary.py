"""What a base model on this disk is, and what loray can do with it; needs no torch."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loray.errors import ModelError, SpecError
from loray.models.base_weights import read_base_weights
from loray.models.found_bases import FoundBase, found_bases
from loray.models.hub_cache import snapshots
from loray.models.identity import base_digest
from loray.models.pulling.known import KNOWN
from loray.models.pulling.provenance import read_provenance
from loray.models.support import support_of
from loray.planner.architecture import Architecture
from loray.planner.configs import read_architecture, read_config
from loray.planner.moments import largest
from loray.planner.probe import probe_folder
from loray.planner.report import forecast_for
from loray.spec.data import ChatSpec
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec

LONGEST = 512
"""Tokens of the sequences that `memory_of` counts with, where the base has the positions."""
FORMS = {
    "CPU, float32": ("none", "float32", 0),
    "GPU, bfloat16": ("none", "bfloat16", 1),
    "GPU, 4-bit (QLoRA)": ("nf4", "bfloat16", 1),
}
"""Quantization, type of computation and GPUs a worker that `memory_of` counts with."""


@dataclass(frozen=True, kw_only=True)
class BaseSummary:
    """What JSON files and the headers of weights tell."""

    name: str
    revision: str | None
    source: str
    folder: str
    type: str | None
    architecture: str | None
    parameters: int
    size: int
    """Bytes of the weights' files."""
    dtype: str | None
    positions: int | None
    vocabulary: int | None
    licence: str | None
    usable: bool
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def summarize(base: FoundBase) -> BaseSummary:
    """Look at a base; its chat template is not rendered, which would need transformers."""
    try:
        config = read_config(base.folder / "config.json")
    except ModelError:
        config = {}
    probe, weights = probe_folder(base.folder), read_base_weights(base.folder)
    support, classes = support_of(config), config.get("architectures")
    files = {tensor.path for tensor in weights.tensors.values()}
    return BaseSummary(
        name=base.name,
        revision=base.revision,
        source=base.source,
        folder=str(base.folder),
        type=_text(config.get("model_type")),
        architecture=_text(classes[0]) if isinstance(classes, list) and classes else None,
        parameters=sum(math.prod(tensor.shape) for tensor in weights.tensors.values()),
        size=sum(path.stat().st_size for path in files if path.is_file()),
        dtype=", ".join(sorted({tensor.dtype for tensor in weights.tensors.values()})) or None,
        positions=probe.positions,
        vocabulary=_number(config.get("vocab_size")),
        licence=licence_of(base.folder),
        usable=not probe.faults,
        faults=tuple(probe.faults),
        notes=(*probe.notes, *(() if support.is_tested or probe.faults else support.reasons)),
    )


def with_template(summary: BaseSummary) -> BaseSummary:
    """The same, its chat template rendered with a few turns."""
    from loray.models.template_probe import probe_template  # noqa: PLC0415 (transformers is slow)

    if summary.faults:
        return summary
    try:
        found = probe_template(Path(summary.folder), ChatSpec())
    except ModelError as error:
        return replace(summary, notes=(*summary.notes, f"chat: {error}"))
    can = [name for name in ("system", "tools", "reasoning") if getattr(found, f"takes_{name}")]
    takes = f"chat template: takes {', '.join(can)}" if can else "chat template: plain turns only"
    told = [f"chat: {fault}" for fault in found.faults] or [takes, *found.limits]
    return replace(summary, notes=(*summary.notes, *told))


def memory_of(summary: BaseSummary) -> Mapping[str, tuple[float, float]]:
    """Bytes to train a LoRA of rank 16 and to serve, by form; empty where it cannot be counted.

    A worker with one sequence of up to 512 tokens at a time; a replica as `serve` is by default.
    """
    tokens = max(16, min(LONGEST, summary.positions or LONGEST))
    try:
        shape = read_architecture(BaseModelSpec.model_construct(path=summary.folder, revision=None))
        return {name: _bytes(shape, tokens, *form) for name, form in FORMS.items()}
    except ModelError:
        return {}


def _bytes(
    shape: Architecture, tokens: int, quantization: str, dtype: str, gpus: int
) -> tuple[float, float]:
    source = {"kind": "jsonl", "uri": "rows.jsonl", "fields": {"prompt": "q", "completion": "a"}}
    spec = RunSpec.model_validate_json(
        json.dumps(
            {
                "name": "any",
                "base_model": {"path": "any", "quantization": quantization, "dtype": dtype},
                "data": {"sources": [source], "sequence": {"max_tokens": tokens}},
                "train": {"steps": 1, "batch": {"global_size": 1, "micro_size": 1}},
                "serve": {"max_context": tokens},
                "resources": {"gpus_per_worker": gpus},
            }
        )
    )
    taken = forecast_for(spec, shape)
    return largest(taken.moments).device_total, sum(taken.serving.values())


def find_base(text: str) -> FoundBase:
    """The base on this disk that a folder, a hub id (with `@COMMIT`) or a known name stands for.

    Raises:
        SpecError: there is none, or several.
    """
    folder = Path(text).expanduser()
    if folder.is_dir():
        about = read_provenance(folder)
        return FoundBase(
            text, about.revision if about else None, folder, about.source if about else "folder"
        )
    if text in KNOWN:
        pulled = [b for b in found_bases() if b.source == KNOWN[text].requirement]
        if pulled:
            return pulled[0]
    repo, _, revision = text.partition("@")
    held = [s for s in snapshots() if s.repo == repo and s.revision.startswith(revision)]
    if len(held) == 1:
        return FoundBase(repo, held[0].revision, held[0].folder, "hub cache")
    if held:
        several = ", ".join(f"{repo}@{s.revision[:12]}" for s in held[:4])
        raise SpecError(f"found {len(held)} revisions of {repo}; wanted one; name it: {several}")
    raise SpecError(
        f"found no base model {text!r} on this machine; wanted a folder, or a hub id in the cache "
        f"(`loray model ls` lists both); fetch it: loray model pull {text}"
    )


def identity_of(base: FoundBase) -> str:
    """What specs, artifacts and the registry know it by."""
    return base_digest(str(base.folder))


def licence_of(folder: Path) -> str | None:
    """As its provenance, the front matter of its card, or a file's presence tells."""
    about = read_provenance(folder)
    if about is not None and about.licence:
        return about.licence
    try:
        lines = (folder / "README.md").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    if lines[:1] == ["---"]:
        for line in lines[1:100]:
            if line.startswith("license:"):
                return line.partition(":")[2].strip(" \"'")[:60] or None
            if line == "---":
                break
    return "see LICENSE" if (folder / "LICENSE").is_file() else None


def _text(value: object) -> str | None:
    return value[:80] if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if type(value) is int else None
