"""What a healthy adapter looks like while it learns, module by module.

Legend: `W0` frozen weight; `s` = alpha / r, or alpha / sqrt(r); `A` (r, d_in) and `B` (d_out, r)
before the step, `A'` and `B'` after it. Norms are Frobenius norms.

- weight-norm ratio: `||W - W0|| / ||W0||`; how far the module has moved in all. The change is
  `s B A`, of PiSSA `s (B A - B0 A0)`, and of a DoRA `g (W0 + s B A) - W0`: see `models.dora`.
- update ratio: `||W' - W|| / ||W0||`; how far this one step moved it. About 1e-3 is usual where
  every weight learns; one far above most others learns too fast. Source: CS231n, Stanford, notes
  on "Ratio of weights:updates".
- effective rank: `exp(H(p))`, `p` the singular values of `B A` over their sum; how many directions
  the update uses of the `r` that it could. Source: Roy & Vetterli, "The effective rank", EUSIPCO
  2007, definition 1.
- gradient norm, and the share of the gradient's entries that are zero. `A` has a zero gradient at
  the first step because `B` starts at zero; one that stays so marks a dead adapter.

Only a DoRA's change is made in the size of `W0`. Else `||X Y||` and the singular values of `X Y`
follow from `X'X` and `YY'`, which are r x r (`loray.train.products`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from loray.models.adapter import has_weights, lora_layers
from loray.models.dora import dense_weight
from loray.models.pissa import principal
from loray.train.engine import Engine
from loray.train.journal import Record
from loray.train.products import Factors, effective_rank, update_norm

Weights = Mapping[str, torch.Tensor]
"""Of an engine, `weight/model.<module>.lora_A.default.weight` and so on."""


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
    """Before the step, 1 to r; 0 while nothing has changed."""
    update_ratio: float
    """Of the step."""


class Vitals:
    """Measures every adapted module.

    The norms of the frozen weights are taken once, before a strategy shares them out: at once, or
    by `weigh` where they are read part by part. Where a strategy leaves a worker only some of the
    modules, each measures its own, and all get all records.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = dict(lora_layers(model)) if isinstance(model, PeftModel) else {}
        self._base_norms: dict[str, float] = {}
        self._before: Weights = {}
        self._gradients: dict[str, GradientVitals] = {}
        self.weigh(model)

    def weigh(self, part: nn.Module) -> None:
        """Take the norms of the frozen weights in `part`, of those that are read."""
        inside = {id(module) for module in part.modules()}
        for name, layer in self._layers.items():
            is_new = id(layer) in inside and name not in self._base_norms
            if is_new and has_weights(layer):
                self._base_norms[name] = _base_norm(layer)

    def look(self, engine: Engine) -> None:
        """Keep gradients' statistics and the weights, between `accumulate` and `step`.

        Every worker must look.
        """
        self._before = self._weights(engine)
        for name, layer in self._held().items():
            gradient = torch.cat([engine.gradient(p).flatten() for p in _parameters(layer)])
            self._gradients[name] = GradientVitals(
                grad_norm=float(gradient.norm()),
                grad_sparsity=float((gradient == 0).float().mean()),
            )

    def records(self, engine: Engine, *, step: int) -> list[Record]:
        """Records of all modules, after `look` and the engine's `step`; every worker must ask."""
        before, after, self._before = self._before, self._weights(engine), {}
        found = {name: self._measure(name, before, after) for name in self._held()}
        if len(found) < len(self._layers):
            found = _from_all_workers(found)
        return [{"step": step, **asdict(found[name])} for name in self._layers]

    def _held(self) -> dict[str, LoraLayer]:
        """The modules that are on this worker."""
        return {
            name: layer for name, layer in self._layers.items() if not _parameters(layer)[0].is_meta
        }

    def _measure(self, name: str, before: Weights, after: Weights) -> ModuleVitals:
        layer = self._layers[name]
        factors = factors_of(before, name, layer)
        change = change_of(layer, factors)
        if _has_magnitude(layer):
            moved, update = dora_norms(layer, before, after, name)
        else:
            scaling = layer.scaling["default"]
            moved = update_norm(*change) * scaling
            update = step_norm(factors, factors_of(after, name, layer)) * scaling
        return ModuleVitals(
            module=name,
            weight_norm_ratio=moved / self._base_norms[name],
            effective_rank=effective_rank(*change),
            update_ratio=update / self._base_norms[name],
            **asdict(self._gradients[name]),
        )

    def _weights(self, engine: Engine) -> Weights:
        """As the optimizer holds them: float32, on the CPU, where room is cheap."""
        return engine.weights() if self._layers else {}


def _from_all_workers(found: dict[str, ModuleVitals]) -> dict[str, ModuleVitals]:
    everyone: list[dict[str, ModuleVitals]] = [{}] * dist.get_world_size()
    dist.all_gather_object(everyone, found)
    return {name: vitals for some in everyone for name, vitals in some.items()}


def factors_of(weights: Weights, module: str, layer: LoraLayer) -> Factors:
    """One module's factors on its device, float64; all at once would take gigabytes there."""
    device = _parameters(layer)[0].device
    a, b = (weights[f"weight/model.{module}.lora_{f}.default.weight"] for f in "AB")
    return a.to(device, torch.float64), b.to(device, torch.float64)


def change_of(layer: LoraLayer, factors: Factors) -> Factors:
    """The factors of what training added, but for the scaling: those of B A, or B A - B0 A0."""
    (a, b), begun = factors, principal(layer)
    if begun is None:
        return a, b
    return torch.cat([a, begun[0].to(a)]), torch.cat([b, -begun[1].to(b)], dim=1)


def step_norm(before: Factors, after: Factors) -> float:
    """`||B'A' - B A||` without the difference of near equals: B'(A' - A) + (B' - B) A."""
    (a, b), (a_after, b_after) = before, after
    return update_norm(torch.cat([a_after - a, a]), torch.cat([b_after, b_after - b], dim=1))


@torch.no_grad()
def dora_norms(
    layer: LoraLayer, before: Weights, after: Weights, module: str
) -> tuple[float, float]:
    """`||W - W0||`, and `||W' - W||`, of a DoRA.

    The first in the type that the layer computes in, so that a fresh one has not moved; the second
    in float32, since a step is less than what narrower types round away.
    """
    a = _parameters(layer)[0]
    base = dense_weight(layer.get_base_layer())
    moved = _dora_weight(layer, before, module, base.to(a.dtype)) - base.to(a.dtype)
    whole = base.float()
    step = _dora_weight(layer, after, module, whole) - _dora_weight(layer, before, module, whole)
    return float(moved.float().norm()), float(step.norm())


def _dora_weight(
    layer: LoraLayer, weights: Weights, module: str, base: torch.Tensor
) -> torch.Tensor:
    """`g (W0 + s B A)`, (d_out, d_in), computed in the type of `base`."""
    a, b = (factor.to(base) for factor in factors_of(weights, module, layer))
    magnitude = weights[f"weight/model.{module}.lora_magnitude_vector.default.weight"].to(base)
    update, scaling = b @ a, layer.scaling["default"]
    peft: Any = layer.lora_magnitude_vector["default"]
    norms = peft.get_weight_norm(base, update, scaling)
    moved: torch.Tensor = (magnitude / norms)[:, None] * (base + scaling * update)
    return moved


def trained_modules(model: PeftModel, weights: Weights) -> list[str]:
    """Modules whose `B` is no longer what it was before training: zero, or PiSSA's."""
    return [
        name
        for name, layer in lora_layers(model)
        if _has_moved(layer, weights[f"weight/model.{name}.lora_B.default.weight"])
    ]


def _has_moved(layer: LoraLayer, b: torch.Tensor) -> bool:
    begun = principal(layer)
    return bool(b.any()) if begun is None else not torch.equal(b.to(begun[1]), begun[1])


def _parameters(layer: LoraLayer) -> list[nn.Parameter]:
    """`A` and `B` of a layer, as the model computes with them, and a DoRA's magnitudes (d_out,)."""
    parts = [layer.lora_A, layer.lora_B]
    if _has_magnitude(layer):
        parts.append(layer.lora_magnitude_vector)
    return [cast("nn.Parameter", part["default"].weight) for part in parts]


def _has_magnitude(layer: LoraLayer) -> bool:
    return "default" in layer.lora_magnitude_vector


def _base_norm(layer: LoraLayer) -> float:
    weight, begun = dense_weight(layer.get_base_layer()).double(), principal(layer)
    if begun is not None:
        weight = weight + layer.scaling["default"] * (begun[1].double() @ begun[0].double())
    return float(weight.norm())
