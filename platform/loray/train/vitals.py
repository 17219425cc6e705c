"""What a healthy adapter looks like while it learns, module by module.

- weight-norm ratio: `||(alpha / r) B A|| / ||W0||`, Frobenius norms; how far the module moved.
- gradient norm, and the share of the gradient's entries that are zero. `A` has a zero gradient at
  the first step because `B` starts at zero; one that stays so marks a dead adapter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Params4bit
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from loray.train.engine import Engine
from loray.train.journal import Record


@dataclass(frozen=True)
class ModuleVitals:
    """One module at one step."""

    module: str
    """Its path in the base model, such as `model.layers.0.self_attn.q_proj`."""
    weight_norm_ratio: float
    grad_norm: float
    """L2 norm of the averaged gradient of the module's adapter, before clipping."""
    grad_sparsity: float
    """Share of entries of that gradient that are exactly zero, 0 to 1."""


class Vitals:
    """Measures every adapted module.

    The norms of the frozen weights are taken once, before a strategy shares them out.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = dict(_lora_layers(model)) if isinstance(model, PeftModel) else {}
        self._base_norms = {name: _base_norm(layer) for name, layer in self._layers.items()}

    def measure(self, engine: Engine, *, step: int) -> list[Record]:
        """Records of all modules, between `backward` and `step`; every worker must ask."""
        return [
            {"step": step, **asdict(self._measure_one(engine, name, layer))}
            for name, layer in self._layers.items()
        ]

    def _measure_one(self, engine: Engine, name: str, layer: LoraLayer) -> ModuleVitals:
        gradient = torch.cat([engine.gradient(p).flatten() for p in _factors(layer)])
        a, b = (engine.full(p) for p in _factors(layer))
        return ModuleVitals(
            module=name,
            weight_norm_ratio=update_norm(a, b) * layer.scaling["default"] / self._base_norms[name],
            grad_norm=float(gradient.norm()),
            grad_sparsity=float((gradient == 0).float().mean()),
        )


def update_norm(a: torch.Tensor, b: torch.Tensor) -> float:
    """Frobenius norm of `b @ a` without making it: sqrt(sum((b'b) * (aa'))), of size r x r.

    Args:
        a: (r, d_in).
        b: (d_out, r).
    """
    a, b = a.detach().double(), b.detach().double()
    return float(((b.T @ b) * (a @ a.T)).sum().clamp(min=0.0).sqrt())


def trained_modules(weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Modules whose `B` is no longer zero, as it was before training.

    Args:
        weights: of an engine, `weight/model.<module>.lora_B.default.weight` among them.
    """
    factors = (name.partition(".lora_B.") for name in weights if weights[name].any())
    return [name.removeprefix("weight/model.") for name, is_b, _ in factors if is_b]


def _factors(layer: LoraLayer) -> tuple[nn.Parameter, nn.Parameter]:
    """`A` (r, d_in) and `B` (d_out, r) of a layer."""
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return cast("nn.Parameter", a), cast("nn.Parameter", b)


def _lora_layers(model: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def _base_norm(layer: LoraLayer) -> float:
    weight: torch.Tensor = cast("nn.Parameter", layer.get_base_layer().weight)
    if isinstance(weight, Params4bit):
        weight = dequantize_4bit(weight.data, weight.quant_state)
    return float(weight.detach().double().norm())
