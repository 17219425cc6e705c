"""Whether a training can go on from an adapter, by its config and its tensors' shapes; no torch."""

import math
from collections.abc import Mapping
from pathlib import Path

from loray.errors import AdapterError
from loray.models.adapter_files import AdapterConfig, read_config, tensor_entries
from loray.models.adapter_tensors import A_PART, B_PART
from loray.spec.train import LoraMethod

Sides = tuple[int, int]
"""(inputs, outputs) of a linear layer."""


def check_beginning(folder: Path, method: LoraMethod, targets: Mapping[str, Sides]) -> None:
    """Refuse an adapter that is not of the form that `method` trains.

    Args:
        folder: where it is, in PEFT's layout.
        targets: the modules that `method` puts an adapter on, by their dotted names in the base.

    Raises:
        AdapterError: what differs, and what to set.
    """
    config = read_config(folder)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor in tensor_entries(folder):
        shapes.setdefault(tensor.module, {})[tensor.part] = tensor.shape
    if config.modules_to_save or config.bias != "none":
        raise AdapterError(
            f"{folder} holds whole modules or biases of the base beside A and B; wanted a LoRA "
            "alone; train from the base instead"
        )
    if shapes.keys() != targets.keys():
        module = min(shapes.keys() ^ targets.keys())
        has = "has one" if module in shapes else "has none"
        raise AdapterError(
            f"method.targets differ: the adapter in {folder} {has} on {module}; "
            f"{_instead(config)}, and see that it was trained on this base model"
        )
    for module, (inputs, outputs) in targets.items():
        rank = config.rank(module)
        if shapes[module].get(A_PART) != (rank, inputs) or (
            shapes[module].get(B_PART) != (outputs, rank)
        ):
            raise AdapterError(
                f"the adapter in {folder} has A and B of shapes {shapes[module].get(A_PART)} and "
                f"{shapes[module].get(B_PART)} on {module}; over this base model wanted "
                f"({rank}, {inputs}) and ({outputs}, {rank}); name the adapter of this base"
            )
        _check_form(folder, config, method, module)


def _check_form(folder: Path, config: AdapterConfig, method: LoraMethod, module: str) -> None:
    rank, alpha = method.rank_of(module), _alpha_of(method, module)
    scaling = alpha / (math.sqrt(rank) if method.rslora else rank)
    is_same = (rank, method.dora) == (config.rank(module), config.use_dora)
    if is_same and math.isclose(scaling, config.scaling(module)):
        return
    raise AdapterError(
        f"the adapter in {folder} is another one on {module}: rank {config.rank(module)}, scaled "
        f"by {config.scaling(module):g}, dora {str(config.use_dora).lower()}; the spec has rank "
        f"{rank}, scaled by {scaling:g}, dora {str(method.dora).lower()}; {_instead(config)}"
    )


def _alpha_of(method: LoraMethod, module: str) -> int:
    """As PEFT finds it: the first pattern with an alpha that fits."""
    fitting = (
        p.alpha for p in method.patterns if p.alpha and f".{module}".endswith(f".{p.modules}")
    )
    return next(fitting, method.alpha)


def _instead(config: AdapterConfig) -> str:
    """The settings that an adapter was trained with."""
    settings = {
        "rank": config.r,
        "alpha": f"{config.lora_alpha:g}",
        "targets": f"[{', '.join(sorted(config.target_modules))}]",
        "rslora": str(config.use_rslora).lower(),
        "dora": str(config.use_dora).lower(),
    }
    words = ", ".join(f"{name}: {value}" for name, value in settings.items())
    some = {*config.rank_pattern, *config.alpha_pattern}
    patterns = f", with patterns for {', '.join(sorted(some)[:5])}" if some else ""
    return f"set method {{{words}}}{patterns}"
