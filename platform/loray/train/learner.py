"""What learns: an adapter on a frozen base, or every weight; and how it is saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, assert_never, cast

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from loray.errors import TrainingError
from loray.models import pissa
from loray.models.adapter import (
    attach_adapter,
    begin_in_full,
    begin_principal,
    lora_layers,
    read_adapter,
    save_adapter,
    saved_form,
    unread_in_full,
)
from loray.models.adapter_tensors import PREFIX
from loray.models.chat import load_tokenizer
from loray.models.deferred import defer_base
from loray.models.exactness import prove_training
from loray.models.load import DTYPES, load_base
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec, FullMethod, LoraMethod
from loray.train.engine import Complete, is_complete
from loray.train.vitals import trained_modules

Learner = PeftModel | PreTrainedModel
Tensors: TypeAlias = dict[str, torch.Tensor]


def build_learner(spec: RunSpec, *, device: str) -> Learner:
    """The base model with what learns on it; equal on every worker by `spec.seed`."""
    return _learner_on(load_base(spec.base_model, device=device), spec)


def begin_learner(spec: RunSpec, *, device: str) -> tuple[Learner, Complete]:
    """The same for `make_engine`, and what gives a part of it the weights that it lacks.

    Where the spec says `reads_by_parts` every part lacks them, so that no worker ever holds the
    whole base; else none does.
    """
    base = defer_base(spec.base_model, device=device) if spec.reads_by_parts else None
    if base is None:
        return build_learner(spec, device=device), is_complete
    learner = _learner_on(base.model, spec)

    def read(part: nn.Module) -> None:
        in_full = unread_in_full(part)
        base.read(part)
        begin_in_full(in_full)
        if isinstance(learner, PeftModel) and spec.begins_with_principal:
            begin_principal(learner, part)

    return learner, read


def _learner_on(base: PreTrainedModel, spec: RunSpec) -> Learner:
    prove_training(base)
    if spec.train.gradient_checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    torch.manual_seed(spec.seed)
    match spec.method:
        case LoraMethod():
            learner: Learner = attach_adapter(base, spec.method)
        case FullMethod():
            learner = base.requires_grad_(requires_grad=True)
        case _:
            assert_never(spec.method)
    learner.train()
    return learner


def causal_lm(learner: Learner) -> PreTrainedModel:
    """The transformers model inside, adapter layers in place."""
    inner = learner.get_base_model() if isinstance(learner, PeftModel) else learner
    return cast("PreTrainedModel", inner)


def learned_tensors(
    learner: Learner, weights: Mapping[str, torch.Tensor], model: BaseModelSpec
) -> Tensors:
    """What training changes, by the names it has on disk, in the type the model computes in.

    Args:
        weights: of an engine, `weight/<name>`; a strategy may leave a worker only its share of
            the model's own.
    """
    dtype = DTYPES[model.dtype]
    named = {_name_in(learner, name): weight.to(dtype) for name, weight in weights.items()}
    if isinstance(learner, PeftModel):
        return dict(get_peft_model_state_dict(learner, state_dict=named))
    return named


def _name_in(learner: Learner, name: str) -> str:
    """The learner's name for what an engine calls `weight/model.<name>`."""
    prefix = PREFIX if isinstance(learner, PeftModel) else ""
    return prefix + name.removeprefix("weight/").removeprefix("model.")


def save_learned(
    learner: Learner, spec: RunSpec, folder: Path, weights: Mapping[str, torch.Tensor]
) -> None:
    """Write an adapter in PEFT's layout, or a whole model in transformers'.

    Raises:
        TrainingError: the adapter read back is not the one in memory.
    """
    tensors = learned_tensors(learner, weights, spec.base_model)
    if not isinstance(learner, PeftModel):
        learner.save_pretrained(folder, state_dict=tensors)
        load_tokenizer(spec.base_model.path, spec.base_model.revision).save_pretrained(folder)
        return
    config, tensors = saved_form(learner, tensors)
    save_adapter(config, tensors, folder, base=spec.base_model.path)
    on_disk = read_adapter(folder).tensors
    if tensors.keys() != on_disk.keys() or not all(
        torch.equal(tensors[name].cpu(), on_disk[name]) for name in tensors
    ):
        raise TrainingError(
            f"the adapter read back from {folder} differs from the one in memory; "
            "check the disk and apply again to resume from the last checkpoint"
        )


def take_up(learner: Learner, tensors: Tensors, part: nn.Module | None = None) -> None:
    """Give the frozen weights what they were when `save_learned` wrote `tensors` (PiSSA).

    Args:
        part: of which only; weights that are not read yet are left alone.
    """
    if isinstance(learner, PeftModel):
        pissa.take_up(tensors, lora_layers(learner, part), PREFIX)


def check_trained(learner: Learner, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse an adapter of which nothing learned.

    Raises:
        TrainingError: the `B` of every targeted module is as it was.
    """
    if isinstance(learner, PeftModel) and not trained_modules(learner, weights):
        raise TrainingError(
            "no adapted module ever moved: B is as it began in all of them; raise "
            "train.optimizer.learning_rate or train.steps, or see what in the base cuts "
            "method.targets off"
        )
