"""PiSSA: A and B begin as the principal part of the weights. Source: arXiv:2404.02948, sec. 3.

    W0 = U S V      B0 A0 s = U_r S_r V_r      the frozen rest is  W0 - s B0 A0

`s` is the scaling. Training moves A and B away from A0 and B0 over the rest. What is saved is an
ordinary LoRA of twice the rank over the base as it was, since `s (B A - B0 A0)` is the product of
`[B, -B0]` and `[A; A0]`; it is served, merged and ranked as any other one.
"""

import copy
import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from loray.errors import ModelError

ITERATIONS = 16
"""Of the fast singular value decomposition, which the paper uses. Source: arXiv:0909.4061."""
SPARE = 8
"""Directions that it follows beyond the rank."""

Named = Iterable[tuple[str, LoraLayer]]


@torch.no_grad()
def take_principal(layers: Named) -> None:
    """Move the principal part of every layer's weights into its A and B.

    Raises:
        ModelError: a layer has fewer singular values than its rank, or weights that are NaN.
    """
    for name, layer in layers:
        weight, scaling = _weight(layer), layer.scaling["default"]
        a, b = (
            cast("nn.Parameter", part["default"].weight) for part in (layer.lora_A, layer.lora_B)
        )
        rank, most = a.shape[0], min(weight.shape)
        if rank > most:
            raise ModelError(
                f"method.init is pissa and {name} has rank {rank}, but only {most} singular "
                f"values; use a rank of at most {most}, or another init"
            )
        if not bool(torch.isfinite(weight).all()):
            raise ModelError(
                f"method.init is pissa and the weights of {name} hold NaN or infinity; fetch or "
                "save the base model again"
            )
        spare = min(rank + SPARE, most)
        u, s, v = torch.svd_lowrank(weight.float(), q=spare, niter=ITERATIONS)
        root = (s[:rank] / scaling).sqrt()
        a.copy_(root[:, None] * v[:, :rank].T)
        b.copy_(u[:, :rank] * root)
        for part, begun in (("principal_a", a), ("principal_b", b)):
            cast("nn.Module", layer).register_buffer(part, begun.clone(), persistent=False)
        _change(layer, a, b, -scaling)


def principal(layer: LoraLayer) -> tuple[Tensor, Tensor] | None:
    """A0 (r, inputs) and B0 (outputs, r) of a layer that PiSSA began."""
    module = cast("nn.Module", layer)
    if not hasattr(module, "principal_a"):
        return None
    return module.get_buffer("principal_a"), module.get_buffer("principal_b")


def as_lora(
    config: LoraConfig, tensors: dict[str, Tensor], layers: Named, prefix: str
) -> tuple[LoraConfig, dict[str, Tensor]]:
    """The LoRA over the unchanged base that an adapter begun by PiSSA stands for."""
    doubled: Any = copy.deepcopy(config)  # PEFT calls alpha an int, and takes any number
    grown = math.sqrt(2) if config.use_rslora else 2  # keeps the scaling
    doubled.r *= 2
    doubled.lora_alpha *= grown
    doubled.rank_pattern = {name: 2 * rank for name, rank in doubled.rank_pattern.items()}
    doubled.alpha_pattern = {name: grown * alpha for name, alpha in doubled.alpha_pattern.items()}
    found = dict(tensors)
    for name, layer in layers:
        begun = principal(layer)
        assert begun is not None, f"PiSSA did not begin {name}"  # noqa: S101
        a, b = (f"{prefix}{name}.lora_{part}.weight" for part in "AB")
        found[a] = torch.cat([tensors[a], begun[0].to(tensors[a])], dim=0)
        found[b] = torch.cat([tensors[b], -begun[1].to(tensors[b])], dim=1)
    return doubled, found


@torch.no_grad()
def take_up(tensors: dict[str, Tensor], layers: Named, prefix: str) -> None:
    """Begin where the adapter in `tensors`, as `as_lora` gave them, began.

    On another kind of device, or with other threads, the decomposition may differ, and with it the
    frozen rest. To be done before a strategy shares the weights out.
    """
    for name, layer in layers:
        begun = principal(layer)
        if begun is None:
            continue
        rank, scaling = begun[0].shape[0], layer.scaling["default"]
        a = tensors[f"{prefix}{name}.lora_A.weight"][rank:].to(begun[0])
        b = -tensors[f"{prefix}{name}.lora_B.weight"][:, rank:].to(begun[1])
        if torch.equal(a, begun[0]) and torch.equal(b, begun[1]):
            continue
        _change(layer, *begun, scaling)
        _change(layer, a, b, -scaling)
        for part, own, found in (("lora_A", begun[0], a), ("lora_B", begun[1], b)):
            own.copy_(found)
            cast("nn.Parameter", getattr(layer, part)["default"].weight).copy_(found)


def _weight(layer: LoraLayer) -> Tensor:
    linear = layer.get_base_layer()
    assert isinstance(linear, nn.Linear)  # noqa: S101 (what targets name)
    return linear.weight


def _change(layer: LoraLayer, a: Tensor, b: Tensor, factor: float) -> None:
    """Add `factor` times `b @ a` to the frozen weights; rounded once, to their own type."""
    weight = _weight(layer)
    weight.data = (weight.float() + factor * (b.float() @ a.float())).to(weight.dtype)
