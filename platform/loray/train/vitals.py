"""What a healthy adapter looks like while it learns, module by module.

- weight-norm ratio: `||W - W0|| / ||W0||`, Frobenius norms; how far the module moved. The change is
  `(alpha / r) B A`, and of a DoRA `g (W0 + (alpha / r) B A) - W0`: see `loray.models.dora`.
- gradient norm, and the share of the gradient's entries that are zero. `A` has a zero gradient at
  the first step because `B` starts at zero; one that stays so marks a dead adapter.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from loray.models.adapter import lora_layers
from loray.models.dora import dense_weight
from loray.models.pissa import principal
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
        self._layers = dict(lora_layers(model)) if isinstance(model, PeftModel) else {}
        self._base_norms = {name: _base_norm(layer) for name, layer in self._layers.items()}

    def measure(self, engine: Engine, *, step: int) -> list[Record]:
        """Records of all modules, between `backward` and `step`; every worker must ask."""
        return [
            {"step": step, **asdict(self._measure_one(engine, name, layer))}
            for name, layer in self._layers.items()
        ]

    def _measure_one(self, engine: Engine, name: str, layer: LoraLayer) -> ModuleVitals:
        factors, magnitude = _factors(layer), _magnitude(layer)
        learned = factors if magnitude is None else (*factors, magnitude)
        gradient = torch.cat([engine.gradient(p).flatten() for p in learned])
        a, b = (engine.full(p) for p in factors)
        change = (
            update_norm(*_change(layer, a, b)) * layer.scaling["default"]
            if magnitude is None
            else dora_change_norm(layer, magnitude)
        )
        return ModuleVitals(
            module=name,
            weight_norm_ratio=change / self._base_norms[name],
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


@torch.no_grad()
def dora_change_norm(layer: LoraLayer, magnitude: torch.Tensor) -> float:
    """Frobenius norm of what a DoRA changes, in the type that the layer computes in.

    Args:
        magnitude: (d_out,).
    """
    a, b = _factors(layer)
    weight, update = dense_weight(layer.get_base_layer()).to(a.dtype), b @ a
    scaling = layer.scaling["default"]
    peft: Any = layer.lora_magnitude_vector["default"]
    norms = peft.get_weight_norm(weight, update, scaling)
    moved = (magnitude / norms)[:, None] * (weight + scaling * update)
    return float((moved - weight).float().norm())


def trained_modules(model: PeftModel, weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Modules whose `B` is no longer what it was before training: zero, or PiSSA's.

    Args:
        weights: of an engine, `weight/model.<module>.lora_B.default.weight` among them.
    """
    return [
        name
        for name, layer in lora_layers(model)
        if _has_moved(layer, weights[f"weight/model.{name}.lora_B.default.weight"])
    ]


def _has_moved(layer: LoraLayer, b: torch.Tensor) -> bool:
    begun = principal(layer)
    return bool(b.any()) if begun is None else not torch.equal(b.to(begun[1]), begun[1])


def _factors(layer: LoraLayer) -> tuple[nn.Parameter, nn.Parameter]:
    """`A` (r, d_in) and `B` (d_out, r) of a layer."""
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return cast("nn.Parameter", a), cast("nn.Parameter", b)


def _change(
    layer: LoraLayer, a: torch.Tensor, b: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors of what training added, but for the scaling: those of B A, or B A - B0 A0."""
    begun = principal(layer)
    if begun is None:
        return a, b
    return torch.cat([a, begun[0].to(a)]), torch.cat([b, -begun[1].to(b)], dim=1)


def _magnitude(layer: LoraLayer) -> nn.Parameter | None:
    """The magnitudes (d_out,) of a DoRA."""
    if "default" not in layer.lora_magnitude_vector:
        return None
    return cast("nn.Parameter", layer.lora_magnitude_vector["default"].weight)


def _base_norm(layer: LoraLayer) -> float:
    weight, begun = dense_weight(layer.get_base_layer()).double(), principal(layer)
    if begun is not None:
        weight = weight + layer.scaling["default"] * (begun[1].double() @ begun[0].double())
    return float(weight.norm())
