"""DoRA: a learned magnitude for each output of a layer. Source: arXiv:2402.09353, sec. 4.

    y = m / ||W0 + s B A|| (W0 + s B A) x + bias

`s` is the scaling, alpha / r or alpha / sqrt(r); the norm is taken over the inputs of each output,
of the weights that the layer computes with: dequantized ones where it holds them in 4 bits. The
bias is not scaled. `m` begins as `||W0||`, so that a fresh adapter changes nothing.
"""

import torch
from torch import Tensor, nn

ROWS_AT_ONCE = 1024
"""Outputs whose weights are made in full at a time."""


def dense_weight(linear: nn.Module) -> Tensor:
    """The weights (outputs, inputs) that a linear layer computes with, out of NF4 if need be."""
    weight: Tensor = linear.get_parameter("weight")
    state = getattr(weight, "quant_state", None)
    if state is None:
        return weight.detach()
    from bitsandbytes.functional import dequantize_4bit  # noqa: PLC0415 (seconds)

    return dequantize_4bit(weight.data, state)


def row_norms(weight: Tensor, update: tuple[Tensor, Tensor]) -> Tensor:
    """`||W0 + B A||` over the inputs of each output, (outputs,), float32.

    Args:
        weight: W0, (outputs, inputs).
        update: A (r, inputs), and B (outputs, r) with the scaling in it.
    """
    a, b = (factor.to(weight.device).float() for factor in update)
    parts = zip(weight.split(ROWS_AT_ONCE), b.split(ROWS_AT_ONCE), strict=True)
    return torch.cat([torch.linalg.norm(w.float() + some @ a, dim=1) for w, some in parts])
