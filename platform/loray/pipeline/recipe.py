"""What each stage's fingerprint covers: what is made, never where.

A stage's fingerprint is that of its recipe: its blocks of the spec, the fingerprints or digests of
its inputs, its own version, and the versions of the libraries whose change would change results.
All of them follow from the spec and the inputs' bytes, so a plan needs no stage to have run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loray import data, evaluate, train
from loray.artifacts.manifest import Stage, StageKind
from loray.models.adapter_files import adapter_digest
from loray.models.identity import base_digest, tokenizer_digest
from loray.spec.fingerprint import fingerprint
from loray.spec.run import RunSpec


@dataclass(frozen=True)
class Recipe:
    """What a stage would make, and from what."""

    stage: Stage
    stage_version: int
    blocks: dict[str, Any]
    """The spec's blocks and the library versions that the fingerprint covers."""
    inputs: dict[str, str]


def recipes(spec: RunSpec) -> tuple[Recipe, Recipe, Recipe]:
    """The recipes of the dataset, the training and the evaluation, in this order.

    Raises:
        SourceError: a source's files are missing.
        ModelError: the base model is missing.
    """
    dataset = dataset_recipe(spec)
    training = _recipe(
        "training",
        spec,
        stage_version=train.STAGE_VERSION,
        blocks={
            "seed": spec.seed,
            "base_model": spec.base_model.model_dump(mode="json", exclude={"path"}),
            "method": spec.method.model_dump(mode="json", exclude={"begin_from"}),
            "train": spec.train.model_dump(mode="json"),
        },
        inputs={"dataset": dataset.stage.fingerprint, **training_inputs(spec)},
    )
    evaluation = _recipe(
        "evaluation",
        spec,
        stage_version=evaluate.STAGE_VERSION,
        blocks={
            "evaluate": spec.evaluate.model_dump(mode="json", exclude={"batch_size"}),
            "gates": [gate.model_dump(mode="json") for gate in spec.gates],
        },
        inputs={
            "dataset": dataset.stage.fingerprint,
            "training": training.stage.fingerprint,
        },
    )
    return dataset, training, evaluation


def training_inputs(spec: RunSpec) -> dict[str, str]:
    """Digests of what a training reads beside its dataset.

    Raises:
        ModelError: the base model is missing.
        AdapterError: so is the adapter to go on from, or it is damaged.
    """
    base, method = spec.base_model, spec.method
    found = {"base_model": base_digest(base.path, base.revision)}
    if method.kind == "lora" and method.begin_from is not None:
        found["begin_from"] = adapter_digest(Path(method.begin_from))
    return found


def dataset_recipe(spec: RunSpec) -> Recipe:
    """The recipe of the dataset; of the base model it reads the tokenizer alone.

    Raises:
        SourceError: a source's files are missing.
        ModelError: the tokenizer is.
    """
    where = {"s3"}  # how a bucket is reached does not change what is in it
    block = spec.data.model_dump(
        mode="json",
        exclude={
            "sources": {"__all__": where},
            "replay": {"source": where},
            "steps": {"__all__": {"against": {"__all__": where}}},
        },
    )
    tokenizer = tokenizer_digest(spec.base_model.path, spec.base_model.revision)
    return _recipe(
        "dataset",
        spec,
        stage_version=data.STAGE_VERSION,
        blocks={"seed": spec.seed, "data": block},
        inputs={"tokenizer": tokenizer, **data.source_identity(spec.data)},
    )


def _recipe(
    kind: StageKind,
    spec: RunSpec,
    *,
    stage_version: int,
    blocks: dict[str, Any],
    inputs: dict[str, str],
) -> Recipe:
    blocks = {**blocks, "libraries": _versions(libraries_of(spec, kind))}
    mark = fingerprint({"stage_version": stage_version, "blocks": blocks, "inputs": inputs})
    stage = Stage(kind=kind, name=spec.name, fingerprint=mark)
    return Recipe(stage, stage_version, blocks, inputs)


def libraries_of(spec: RunSpec, kind: StageKind) -> list[str]:
    """Distributions whose code a stage of this spec runs and whose change may change its results.

    What the spec does not use is left out, so that its new release makes nothing stale.
    """
    model, train_, steps = spec.base_model, spec.train, {step.kind for step in spec.data.steps}
    is_quantized = model.quantization != "none"
    overlap = {"rouge1", "rougeL"} & set(spec.evaluate.metrics)
    used: dict[StageKind, dict[str, bool]] = {
        "dataset": {
            "tokenizers": True,
            "transformers": True,
            "ftfy": "unicode" in steps,
            "py3langid": "language" in steps,
        },
        "training": {
            "torch": True,
            "transformers": True,
            "peft": spec.method.kind == "lora",
            "bitsandbytes": is_quantized or train_.optimizer.kind != "adamw",
            "deepspeed": train_.strategy.kind == "deepspeed",
        },
        "evaluation": {
            "torch": True,
            "transformers": True,
            "bitsandbytes": is_quantized,
            "rouge-score": bool(overlap),
            "sacrebleu": "bleu" in spec.evaluate.metrics,
        },
    }
    return [library for library, is_used in used[kind].items() if is_used]


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    """Installed versions, `absent` for what this machine lacks."""
    found = {}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "absent"
    return found
