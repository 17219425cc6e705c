"""What a healthy adapter looks like while it learns, module by module.

Legend: `W0` frozen weight; `s` = alpha / r, or alpha / sqrt(r); `A` (r, d_in) and `B` (d_out, r)
before the step, `A'` and `B'` after it. Norms are Frobenius norms.

- weight-norm ratio: `||s B A|| / ||W0||`; how far the module has moved in all.
- update ratio: `||s (B' A' - B A)|| / ||W0||`; how far this one step moved it. About 1e-3 is usual
  where every weight learns; one far above most others learns too fast. Source: CS231n, Stanford,
  notes on "Ratio of weights:updates".
- effective rank: `exp(H(p))`, `p` the singular values of `B A` over their sum; how many directions
  the update uses of the `r` that it could. Source: Roy & Vetterli, "The effective rank", EUSIPCO
  2007, definition 1.
- gradient norm, and the share of the gradient's entries that are zero. `A` has a zero gradient at
  the first step because `B` starts at zero; one that stays so marks a dead adapter.

None of them makes a product of the size of `W0`: `||X Y||` and the singular values of `X Y` follow
from `X'X` and `YY'`, which are r x r, in float64. Values below 1e-8 of the largest are lost so, too
little to count in an entropy; QR of the factors would keep them, for 8 to 13 times the time on
those of an 8B model (one core, r = 16 and 64).
"""

from collections.abc import Iterator
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

Factors = tuple[torch.Tensor, torch.Tensor]
"""`A` (r, d_in) and `B` (d_out, r)."""
FACTORS = ("lora_A", "lora_B")
NOISE = 1e-7
"""Singular values below this share of the largest are rounding, and count as zero."""


@dataclass(frozen=True)
class GradientVitals:
    """The averaged gradient of one module's adapter, before clipping."""

    grad_norm: float
    """L2 norm."""
    grad_sparsity: float
    """Share of entries that are exactly zero, 0 to 1."""


@dataclass(frozen=True)
class ModuleVitals(GradientVitals):
    """One module at one step."""

    module: str
    """Its path in the base model, such as `model.layers.0.self_attn.q_proj`."""
    weight_norm_ratio: float
    """Before the step."""
    effective_rank: float
    """Before the step, 1 to r; 0 while `B` is zero."""
    update_ratio: float
    """Of the step."""


class Vitals:
    """Measures every adapted module; the norms of the frozen weights are taken once."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = dict(_lora_layers(model)) if isinstance(model, PeftModel) else {}
        self._base_norms = {name: _base_norm(layer) for name, layer in self._layers.items()}
        self._before: dict[str, torch.Tensor] = {}
        self._gradients: dict[str, GradientVitals] = {}

    def look(self, engine: Engine) -> None:
        """Keep gradients' statistics and the weights, between `backward` and `step`.

        Every worker must look.
        """
        self._before = self._weights(engine)
        for name, layer in self._layers.items():
            gradient = torch.cat([engine.gradient(p).flatten() for p in _parameters(layer)])
            self._gradients[name] = GradientVitals(
                grad_norm=float(gradient.norm()),
                grad_sparsity=float((gradient == 0).float().mean()),
            )

    def records(self, engine: Engine, *, step: int) -> list[Record]:
        """Records of all modules, after `look` and the engine's `step`; every worker must ask."""
        before, after, self._before = self._before, self._weights(engine), {}
        found = [
            self._measure(name, self._factors(before, name), self._factors(after, name))
            for name in self._layers
        ]
        return [{"step": step, **asdict(one)} for one in found]

    def _measure(self, name: str, before: Factors, after: Factors) -> ModuleVitals:
        (a, b), (a_after, b_after) = before, after
        scale = self._layers[name].scaling["default"] / self._base_norms[name]
        # B'A' - BA without the difference of near equals: B'(A' - A) + (B' - B)A.
        moved = update_norm(torch.cat([a_after - a, a]), torch.cat([b_after, b_after - b], dim=1))
        return ModuleVitals(
            module=name,
            weight_norm_ratio=update_norm(a, b) * scale,
            effective_rank=effective_rank(a, b),
            update_ratio=moved * scale,
            **asdict(self._gradients[name]),
        )

    def _weights(self, engine: Engine) -> dict[str, torch.Tensor]:
        """As the optimizer holds them: float32, on the CPU, where room is cheap."""
        return engine.weights() if self._layers else {}

    def _factors(self, weights: dict[str, torch.Tensor], module: str) -> Factors:
        """One module's factors on its device, float64; all at once would take gigabytes there."""
        device = _parameters(self._layers[module])[0].device
        a, b = (weights[f"weight/model.{module}.{f}.default.weight"] for f in FACTORS)
        return a.to(device, torch.float64), b.to(device, torch.float64)


def update_norm(a: torch.Tensor, b: torch.Tensor) -> float:
    """Frobenius norm of `b @ a` without making it: sqrt(sum((b'b) * (aa'))), of size r x r.

    Args:
        a: (r, d_in).
        b: (d_out, r).
    """
    a, b = a.detach().double(), b.detach().double()
    return float(((b.T @ b) * (a @ a.T)).sum().clamp(min=0.0).sqrt())


def singular_values(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The r singular values of `b @ a` without making it, ascending, float64; NaN if any is.

    They are the roots of the eigenvalues of `R' (b'b) R`, where `R R' = aa'`.

    Args:
        a: (r, d_in).
        b: (d_out, r).
    """
    a, b = a.detach().double(), b.detach().double()
    # r x r, so on the CPU: a device gains nothing on them, and its solvers take milliseconds each.
    of_a, of_b = (a @ a.T).cpu(), (b.T @ b).cpu()
    if not bool(torch.isfinite(of_a).all() and torch.isfinite(of_b).all()):
        return torch.full((len(a),), torch.nan, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(of_a)
    root = vectors * values.clamp(min=0.0).sqrt()
    found: torch.Tensor = torch.linalg.eigvalsh(root.T @ of_b @ root).clamp(min=0.0).sqrt()
    return found


def effective_rank(a: torch.Tensor, b: torch.Tensor) -> float:
    """`exp` of the entropy of the singular values of `b @ a` over their sum; 0 if all are zero."""
    values = singular_values(a, b)
    if not bool(values[-1] > 0.0):
        return float(values[-1])  # zero, or no number
    shares = values[values > NOISE * values[-1]]
    shares = shares / shares.sum()
    return float((-(shares * shares.log()).sum()).exp())


def trained_modules(model: PeftModel) -> list[str]:
    """Modules whose `B` is no longer zero, as it was before training."""
    return [
        name for name, layer in _lora_layers(model) if bool(_parameters(layer)[1].detach().any())
    ]


def _parameters(layer: LoraLayer) -> tuple[nn.Parameter, nn.Parameter]:
    """`A` and `B` of a layer, as the model computes with them."""
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
