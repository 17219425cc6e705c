"""Products with 4-bit weights that a strategy puts together and takes apart again.

bitsandbytes' own product keeps a view of the packed weight for the backward pass, and with it what
DeepSpeed put together for the forward pass: at the end of it every worker would hold the whole
base. Here the parameter itself is kept, and read when it is there again.
"""

from typing import Any, cast

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ReleasingLinear4bit(Linear4bit):
    """A 4-bit projection whose backward pass holds no weight of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """As `Linear4bit`, (..., inputs) to (..., outputs)."""
        wide = x if self.compute_dtype is None else x.to(self.compute_dtype)
        bias = None if self.bias is None else self.bias.to(wide.dtype)
        found = cast("Tensor", _Product.apply(wide, self.weight, bias))  # type: ignore[no-untyped-call]
        return found.to(x.dtype)


def let_release(module: nn.Module) -> None:
    """Make every 4-bit projection in `module` a `ReleasingLinear4bit`, in its place."""
    for part in module.modules():
        if type(part) is Linear4bit:
            cast("Any", part).__class__ = ReleasingLinear4bit


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Params4bit, bias: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.weight = weight
        return nn.functional.linear(x, _unpacked(weight, x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor | None]:  # noqa: ANN401
        of_bias = gradient.flatten(0, -2).sum(0) if ctx.needs_input_grad[2] else None
        return gradient @ _unpacked(ctx.weight, gradient.dtype), None, of_bias


def _unpacked(weight: Params4bit, dtype: torch.dtype) -> Tensor:
    """(outputs, inputs)."""
    found: Tensor = dequantize_4bit(weight.data, weight.quant_state)
    return found.to(dtype)
