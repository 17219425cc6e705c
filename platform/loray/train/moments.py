"""Adam's moments of a weight, out of its optimizer and back, bit for bit.

torch keeps them in float32. bitsandbytes keeps those of 4,096 numbers and more in 8 bits, with a
scale for each 256 of them, and those of less in float32. Source: arXiv:2110.02861.
"""

from collections.abc import Mapping
from typing import Any

import torch

ADAM_STATES = ("exp_avg", "exp_avg_sq")
EIGHT_BIT_STATES = {
    "exp_avg": "state1", "exp_avg_sq": "state2",
    "exp_avg_scale": "absmax1", "exp_avg_sq_scale": "absmax2",
}  # fmt: skip
"""What bitsandbytes calls the moments and their scales."""


def moments_of(adam: torch.optim.Optimizer, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Copies on the CPU, in the type that they are held in, by name."""
    state, names = adam.state[tensor], _names(adam)
    return {key: state[name].detach().cpu().clone() for key, name in names.items() if name in state}


def set_moments(
    adam: torch.optim.Optimizer,
    tensor: torch.Tensor,
    found: Mapping[str, torch.Tensor],
    *,
    steps_done: int,
) -> None:
    """Continue from what `moments_of` gave; from zero where it gave nothing."""
    state = adam.state[tensor]
    if isinstance(adam, torch.optim.AdamW):
        state["step"] = torch.tensor(float(steps_done))
        state.update({key: torch.zeros_like(tensor) for key in ADAM_STATES})
    else:
        if not state:
            _make_state(adam, tensor)
        state["step"] = steps_done
    for key, name in _names(adam).items():
        if name in state:
            state[name].zero_()
            if key in found:
                state[name].copy_(found[key])


def _names(adam: torch.optim.Optimizer) -> dict[str, str]:
    if isinstance(adam, torch.optim.AdamW):
        return {key: key for key in ADAM_STATES}
    return EIGHT_BIT_STATES


def _make_state(adam: Any, tensor: torch.Tensor) -> None:  # noqa: ANN401 (bitsandbytes has no types)
    """Reserve what bitsandbytes otherwise reserves at its first step."""
    for at, group in enumerate(adam.param_groups):
        for number, other in enumerate(group["params"]):
            if other is tensor:
                adam.init_state(group, tensor, at, number)
