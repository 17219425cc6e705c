"""Attach, save and read LoRA adapters in PEFT's own layout."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from loray.errors import AdapterError, ModelError
from loray.models import pissa
from loray.models.adapter_files import AdapterConfig, check_adapter_folder
from loray.models.adapter_tensors import PREFIX
from loray.models.deferred import is_unread
from loray.models.projections import projections
from loray.models.targets import target_names
from loray.spec.train import LoraMethod

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
MAGNITUDE = ".lora_magnitude_vector"
PEFT_BIAS: Mapping[str, Literal["none", "lora_only", "all"]] = {
    "none": "none", "targets": "lora_only", "all": "all",
}  # fmt: skip
"""What PEFT calls the values of `method.biases`."""


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter read from disk after its closed check."""

    config: AdapterConfig
    tensors: dict[str, torch.Tensor]
    """By PEFT's names, `base_model.model.<module>.lora_A.weight` (rank, d_in) and `lora_B`."""


def attach_adapter(model: PreTrainedModel, method: LoraMethod) -> PeftModel:
    """`model` with an adapter that learns, random numbers from torch's global generator.

    B starts at zero; with PiSSA both start as parts of the base's weights, which are changed; of
    weights that are not read yet, `begin_principal` sees to that. EVA's A is still to be filled
    from the data (`models.eva`). With `begin_from` both are what that folder holds.

    The adapter's weights take the base's type of computation; the optimizer keeps its own
    float32 copy where that type is narrower.

    Raises:
        ModelError: the base has no linear layer of a target's name, a DoRA's magnitudes
            biases are to learn where the base has none, or tied modules in full.
        AdapterError: what `begin_from` names is damaged, or of another form.
    """
    if method.modules_to_save and model.config.tie_word_embeddings:
        raise ModelError(
            f"method.modules_to_save is {', '.join(method.modules_to_save)}, but in the base model "
            "embedding and output projection are one matrix (tie_word_embeddings), and a merged "
            "model could not keep them apart; drop it, or use a base that does not tie them"
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=list(target_names(method, *projections(model))),
        rank_pattern={p.modules: p.rank for p in method.patterns if p.rank is not None},
        alpha_pattern={p.modules: p.alpha for p in method.patterns if p.alpha is not None},
        use_rslora=method.rslora,
        use_dora=method.dora,
        bias=PEFT_BIAS[method.biases],
        modules_to_save=sorted(set(method.modules_to_save)) or None,
        init_lora_weights="gaussian" if method.init == "gaussian" else True,
    )
    adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    assert isinstance(adapted, PeftModel)  # noqa: S101 (mixed models are not asked for)
    if method.init == "pissa":
        begin_principal(adapted, adapted)
    if method.begin_from is not None:
        _go_on_from(Path(method.begin_from), adapted)
    if method.biases != "none" and not any(_learning_biases(adapted)):
        raise ModelError(
            f"method.biases is {method.biases}, but the base model has no bias there; use biases: "
            "none, or the biased projections as method.targets"
        )
    for name, parameter in adapted.named_parameters():
        if MAGNITUDE in name and not bool(parameter.all()):
            raise ModelError(
                f"method.dora scales each output of {name.partition(MAGNITUDE)[0][len(PREFIX) :]} "
                "to a length of its own, and one of them has no weights but zeros in this base "
                "model; leave the module out of method.targets, or use dora: false"
            )
    return adapted


def _go_on_from(folder: Path, model: PeftModel) -> None:
    """Give what learns the weights of the adapter in `folder`.

    Raises:
        AdapterError: it is damaged, or of another form.
    """
    given, own = read_adapter(folder).tensors, adapter_tensors(model)
    wrong = [n for n in own if n not in given or given[n].shape != own[n].shape]
    if wrong or given.keys() != own.keys():
        name = min([*wrong, *(given.keys() - own.keys())])
        raise AdapterError(
            f"method.begin_from: the adapter in {folder} has no tensor {name} as the spec's method "
            "trains it, or has one that it does not; `loray plan` names the settings that differ"
        )
    for name, weight in own.items():
        weight.copy_(given[name])


def _learning_biases(model: PeftModel) -> Iterator[str]:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name.endswith(".bias"):
            yield name


def begin_principal(model: PeftModel, part: nn.Module) -> None:
    """Begin PiSSA in the layers of `part` that have their weights, once.

    Raises:
        ModelError: the rank is too high.
    """
    pissa.take_principal(
        (name, layer)
        for name, layer in lora_layers(model, part)
        if has_weights(layer) and pissa.principal(layer) is None
    )


def unread_in_full(part: nn.Module) -> list[ModulesToSaveWrapper]:
    """Modules in `part` that learn in full (`modules_to_save`), of a base that is still to be read.

    What learns was copied from it, and is no more than room for what will be read.
    """
    return [
        module
        for module in part.modules()
        if isinstance(module, ModulesToSaveWrapper)
        and any(is_unread(p) for p in module.original_module.parameters())
    ]


def begin_in_full(modules: Iterable[ModulesToSaveWrapper]) -> None:
    """Let what learns in full begin as what was read since `unread_in_full`."""
    for module in modules:
        own, frozen = module.modules_to_save["default"], module.original_module
        for mine, read in zip(own.parameters(), frozen.parameters(), strict=True):
            mine.data.copy_(read.data)


def has_weights(layer: LoraLayer) -> bool:
    """Whether the frozen weights under a layer are read, and this worker's."""
    weight = layer.get_base_layer().get_parameter("weight")
    return not (weight.is_meta or is_unread(weight))


def lora_layers(model: PeftModel, part: nn.Module | None = None) -> Iterator[tuple[str, LoraLayer]]:
    """The adapted layers, or those in a part, by their dotted names in the base model."""
    inside = set((model if part is None else part).modules())
    for name, module in model.get_base_model().named_modules():
        if module in inside and isinstance(module, LoraLayer):
            yield name, module


def saved_form(
    model: PeftModel, tensors: dict[str, torch.Tensor]
) -> tuple[LoraConfig, dict[str, torch.Tensor]]:
    """What is written of an adapter: its configuration, and weights by the names on disk.

    Args:
        tensors: the weights that learn, by those names.
    """
    config = cast("LoraConfig", model.peft_config["default"])
    if any(pissa.principal(layer) is not None for _, layer in lora_layers(model)):
        return pissa.as_lora(config, tensors, lora_layers(model), PREFIX)
    return config, tensors


def save_adapter(
    config: LoraConfig, tensors: dict[str, torch.Tensor], folder: Path, *, base: str
) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`; equal weights, equal bytes.

    PEFT keeps target modules in a set, whose order differs from run to run: they are sorted here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = config.to_dict()
    document["base_model_name_or_path"] = base
    document["inference_mode"] = True
    document = {
        key: sorted(value) if isinstance(value, (set, list)) else value
        for key, value in sorted(document.items())  # patterns keep their order: the first counts
    }
    text = json.dumps(document, indent=2, default=str)
    (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
    ordered = {name: tensors[name].detach().contiguous().cpu() for name in sorted(tensors)}
    save_file(ordered, folder / WEIGHTS_NAME, metadata={"format": "pt"})


def adapter_tensors(model: PeftModel) -> dict[str, torch.Tensor]:
    """The weights that learn, by PEFT's names on disk."""
    return dict(get_peft_model_state_dict(model))


def read_adapter(folder: Path) -> AdapterFiles:
    """An adapter's config and weights, after the closed check of `check_adapter_folder`.

    Raises:
        AdapterError: a file is missing, damaged, unsafe or not what its config says.
    """
    config = check_adapter_folder(folder)
    return AdapterFiles(config=config, tensors=load_file(folder / WEIGHTS_NAME))
