"""A first spec for a corpus: sources that were looked into, settings that suit them, and why.

`loray init` writes it down. Nothing here is asked again once the spec is a file.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loray.data.review.census import Census, take_census
from loray.data.review.preview import Preview, chain_for, preview_sources, viewer_of
from loray.data.sources.suggest import Part
from loray.errors import ModelError
from loray.machines.hardware import Machine
from loray.machines.room import counted
from loray.models.template_probe import probe_template
from loray.pipeline.first_fit import Fit, fit_to
from loray.pipeline.first_settings import (
    FEW_ROWS,
    LENGTHS,
    MOST_TOKENS,
    SEED,
    are_labels,
    device_of,
    held_out,
    learning_rate,
    longest_answer,
    longest_sequence,
    repeats_prompts,
    steps_for,
)
from loray.pipeline.first_time import sequence_seconds, usual_seconds
from loray.planner.configs import config_path, read_config
from loray.spec.data import ChatSpec
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec

Block = dict[str, Any]
STEPS = ("unicode", "control_tokens", "credentials", "pii", "quality", "exact_duplicates")
"""Credentials before personal data, so that the password of a URL is told as what it is."""
SCORED_ROWS = {"cpu": 60, "gpu": 200}
MOST_ANSWER = {"cpu": 128, "gpu": 256}
CHECKPOINTS = {"cpu": 3, "gpu": 4}
MOST_CONTEXT = 4096
FEW_FILES = 20
"""Of fewer files of raw text, each paragraph is a row: a split is made of whole files else."""


@dataclass
class FirstSpec:
    """A spec, why it is so, and what it was made from."""

    spec: RunSpec
    why: dict[str, str] = field(default_factory=dict)
    """Reasons, by the path of the field."""
    warnings: list[str] = field(default_factory=list)
    """What is to be known before it is run; a sentence each."""
    census: Census | None = None
    seconds: float | None = None
    """The training, on this machine; None where that cannot be told."""
    preview: Preview | None = None

    @property
    def epochs(self) -> float | None:
        """How often the data is passed over; None where it was not looked into."""
        return float(self.why["epochs"]) if "epochs" in self.why else None


def default_spec(name: str, base: BaseModelSpec, sources: Sequence[Block]) -> RunSpec:
    """The spec of data that cannot be looked into."""
    return RunSpec.model_validate(_document(name, base, sources))


def first_spec(
    name: str, base: BaseModelSpec, parts: Sequence[Part], machine: Machine, num_shown: int
) -> FirstSpec:
    """Look through the rows of `parts`, and settle everything else by them.

    Args:
        base: its path and revision are taken; type and quantization are chosen.
        num_shown: rows to render.

    Raises:
        SourceError: a file cannot be read.
        ModelError: the tokenizer cannot be used.
    """
    config = _config_of(base)
    sources = [_source(part) for part in parts]
    document = _document(name, base, sources)
    first = FirstSpec(RunSpec.model_validate(document))
    chat = _chat_for(first, base)
    document["data"]["chat"] = chat
    document["data"]["sequence"]["max_tokens"] = LENGTHS[-1]
    looked = RunSpec.model_validate(document)
    has_tokenizer = (config_path(base).parent / "tokenizer.json").is_file()
    chain, viewer = (chain_for(looked), viewer_of(looked)) if has_tokenizer else (None, None)
    census = first.census = take_census(looked.data, chain, viewer)
    if not len(census.lengths):
        first.warnings.append(_nothing_is_kept(census))
        return first
    _settle(first, document, config, machine)
    if chain is not None and viewer is not None:
        data = first.spec.data
        encoder = replace(viewer.encoder, split=data.split, sequence=data.sequence)
        seen = replace(viewer, encoder=encoder)
        first.preview = preview_sources(data, "train", num_shown, chain, seen)
    return first


def _settle(first: FirstSpec, document: Block, config: Mapping[str, Any], machine: Machine) -> None:
    """Fill the document by what was counted, and make the spec of it."""
    census, why = first.census, first.why
    assert census is not None  # noqa: S101 - the caller's
    device = device_of(machine)
    positions = _whole(config, "max_position_embeddings")
    _keep_prompts_together(document, census, why)
    share = held_out(census, SCORED_ROWS[device])
    if share is None:
        first.warnings.append(
            f"too few to hold some out: {counted(len(census.groups), 'unlike rows')}; bring at "
            f"least {4 * FEW_ROWS} before `loray apply`"
        )
    held = 0.1 if share is None else share.value
    document["data"]["split"] = {"validation": held, "test": held}
    why["data.split"] = "" if share is None else share.why
    tokens = longest_sequence(census, positions, machine)
    document["data"]["sequence"]["max_tokens"] = int(tokens.value)
    why["data.sequence.max_tokens"] = tokens.why
    _serve_and_score(document, census, positions, device)
    fit = fit_to(document, machine)
    _put_fit(document, fit, first)
    rate = learning_rate(_whole(config, "hidden_size"))
    document["train"]["optimizer"] = {"learning_rate": rate.value}
    why["train.optimizer"] = rate.why
    settled = RunSpec.model_validate(document)
    seconds = sequence_seconds(settled, machine)
    workers = document["resources"]["workers"]
    pace = None if machine.gpus else usual_seconds(settled)
    found = steps_for(census, int(tokens.value), held, seconds=pace, workers=workers)
    micro = min(fit.micro_size, max(found.global_size // workers, 1))
    document["train"] |= {
        "steps": found.steps,
        "batch": {"global_size": found.global_size, "micro_size": micro},
        "schedule": {"kind": "cosine", "warmup_steps": min(10, found.steps // 10)},
        "checkpoint_every": max(-(-found.steps // CHECKPOINTS[device]), 1),
    }
    why["train.steps"] = found.why
    why["epochs"] = f"{found.epochs:.3g}"
    first.seconds = None if seconds is None else seconds * found.steps * found.global_size
    first.spec = RunSpec.model_validate(document)


def _keep_prompts_together(document: Block, census: Census, why: dict[str, str]) -> None:
    """Questions that come again must not be in two splits."""
    for source in document["data"]["sources"]:
        fields = source.get("fields", {})
        prompt = fields.get("prompt", "{")
        if "group" not in fields and "{" not in prompt and repeats_prompts(census):
            fields["group"] = prompt
            why["group"] = "rows of one question stay in one split"


def _serve_and_score(document: Block, census: Census, positions: int | None, device: str) -> None:
    tokens = document["data"]["sequence"]["max_tokens"]
    context = min(positions or MOST_CONTEXT, max(2 * tokens, 512), MOST_CONTEXT)
    answer = longest_answer(census, min(MOST_ANSWER[device], context // 2))
    document["serve"] = {
        "max_context": context, "max_new_tokens": max(min(256, context // 2), answer)
    }  # fmt: skip
    ratio = {"metric": "perplexity", "measure": "ratio_to_base", "at_most": 0.95}
    if not census.answers:
        document["evaluate"] = {"metrics": ("perplexity",), "max_rows": SCORED_ROWS[device]}
        document["gates"] = (ratio,)
        return
    metric, gain = ("exact_match", 0.05) if are_labels(census) else ("rougeL", 0.0)
    document["evaluate"] = {
        "metrics": tuple(dict.fromkeys(("perplexity", metric, "exact_match"))),
        "max_rows": SCORED_ROWS[device] * (2 if metric == "exact_match" else 1),
        "max_new_tokens": answer,
    }  # fmt: skip
    document["gates"] = (
        ratio,
        {"metric": metric, "measure": "gain_over_base", "at_least": gain},
    )


def _put_fit(document: Block, fit: Fit, first: FirstSpec) -> None:
    document["base_model"] |= {"dtype": fit.dtype, "quantization": fit.quantization}
    document["train"] |= {"strategy": fit.strategy}
    if fit.gradient_checkpointing:
        document["train"]["gradient_checkpointing"] = True
    document["resources"] = dict(fit.resources)
    first.why["base_model"] = fit.why
    if not fit.fits:
        first.warnings.append(fit.why)


def _document(name: str, base: BaseModelSpec, sources: Sequence[Block]) -> Block:
    """A spec's blocks, with what holds for any first run."""
    model: Block = {"path": base.path, "dtype": "float32", "quantization": "none"}
    if base.revision is not None:
        model["revision"] = base.revision
    return {
        "name": name,
        "seed": SEED,
        "base_model": model,
        "data": {
            "sources": tuple(dict(source) for source in sources),
            "steps": tuple({"kind": kind} for kind in STEPS),
            "sequence": {"max_tokens": _longest(base)},
        },
        "train": {
            "steps": 200,
            "strategy": {"kind": "plain"},
            "schedule": {"kind": "cosine", "warmup_steps": 10},
            "batch": {"global_size": 16, "micro_size": 4},
            "checkpoint_every": 50,
        },
        "evaluate": {"metrics": ("perplexity", "rougeL", "exact_match")},
        "gates": ({"metric": "perplexity", "measure": "ratio_to_base", "at_most": 0.95},),
        "serve": {"max_context": _longest(base), "max_new_tokens": min(256, _longest(base) // 2)},
        "resources": {"workers": 1},
    }


def _longest(base: BaseModelSpec) -> int:
    positions = _whole(_config_of(base), "max_position_embeddings")
    return max(16, min(positions or MOST_TOKENS["cpu"], MOST_TOKENS["cpu"]))


def _source(part: Part) -> Block:
    if part.kind == "text":
        found: Block = {"kind": "text", "uri": part.uri}
        return found | ({"per": "paragraph", "group": "row"} if part.num_files < FEW_FILES else {})
    assert part.readings.best is not None  # noqa: S101 - the caller refuses others
    found = {"kind": part.kind, "uri": part.uri, "fields": dict(part.readings.best.fields)}
    return found | ({"delimiter": part.delimiter} if part.delimiter != "," else {})


def _config_of(base: BaseModelSpec) -> Mapping[str, Any]:
    """The base's config; nothing where it is not on this disk, or damaged, as `validate` says."""
    path = config_path(base)
    try:
        return read_config(path) if path.is_file() else {}
    except ModelError:
        return {}


def _whole(config: Mapping[str, Any], name: str) -> int | None:
    found = config.get(name)
    return found if type(found) is int and found > 0 else None


def _chat_for(first: FirstSpec, base: BaseModelSpec) -> Block:
    """The base's own template, or none where it has none that could be learned with."""
    folder = config_path(base).parent
    if all(source.fields.text is not None for source in first.spec.data.sources):
        return {}
    if not (folder / "tokenizer.json").is_file():
        return {}
    if not (faults := probe_template(folder, ChatSpec()).faults):
        return {}
    if probe_template(folder, ChatSpec(template="plain")).faults:
        return {}
    first.why["data.chat"] = "the base has no chat template that rows could be learned with"
    first.warnings.append(f"data.chat is plain: {faults[0]}")
    return {"template": "plain"}


def _nothing_is_kept(census: Census) -> str:
    reasons = ", ".join(f"{k} ({n})" for k, n in (census.unread + census.rejected).most_common(3))
    return f"no row that was looked at would be kept: {reasons or 'there is none'}"


def cached_revision(path: str) -> str | None:
    """The commit of a hub id that the hub's cache on this disk holds as `main`."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    ref = cache / f"models--{path.replace('/', '--')}" / "refs" / "main"
    return ref.read_text(encoding="ascii").strip() if ref.is_file() else None
