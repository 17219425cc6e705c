"""FP32 master weights and their gradients.

Gradients add up in float32 and Adam moves float32 weights, whatever type the model computes in, as
DeepSpeed does it. Where the model's own weights are float32 they are moved themselves.
"""

from collections.abc import Mapping

import torch
from torch import nn

from loray.spec.train import OptimizerSpec
from loray.train.moments import moments_of, set_moments
from loray.train.optimizer import adam_over


class Masters:
    """What moves some of a model's parameters."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], optimizer: OptimizerSpec) -> None:
        self.parameters = dict(parameters)
        self._masters = {
            name: p if p.dtype == torch.float32 else p.detach().float()
            for name, p in self.parameters.items()
        }
        self._names = {parameter: name for name, parameter in self.parameters.items()}
        self._adam = adam_over(self._masters, optimizer)

    def take(self, name: str) -> None:
        """Add a parameter's gradient to that of its master, and clear it."""
        parameter, master = self.parameters[name], self._masters[name]
        if master is parameter or parameter.grad is None:
            return
        gradient = parameter.grad.float()
        master.grad = gradient if master.grad is None else master.grad + gradient
        parameter.grad = None

    def gradients(self) -> dict[str, torch.Tensor]:
        """Those of all masters, float32; zero where nothing reached one."""
        found = {}
        for name, master in self._masters.items():
            if master.grad is None:
                master.grad = torch.zeros_like(master)
            found[name] = master.grad
        return found

    def gradient(self, parameter: nn.Parameter) -> torch.Tensor:
        """That of one parameter's master."""
        name = self._names[parameter]
        found = self._masters[name].grad
        return torch.zeros_like(self._masters[name]) if found is None else found

    def step(self, learning_rate: float, *, norm: torch.Tensor, max_norm: float) -> None:
        """Scale the gradients down from a length of `norm`, move the weights, clear them."""
        nn.utils.clip_grads_with_norm_(self._masters.values(), max_norm, norm)
        for group in self._adam.param_groups:
            group["lr"] = learning_rate * group["ratio"]
        self._adam.step()
        self._adam.zero_grad()
        self._hand_down()

    def weights(self) -> dict[str, torch.Tensor]:
        """`weight/<name>`, float32, on the CPU."""
        return {
            f"weight/{name}": master.detach().cpu().clone()
            for name, master in self._masters.items()
        }

    def moments(self) -> dict[str, torch.Tensor]:
        """`exp_avg/<name>`, `exp_avg_sq/<name>`, with the scales of 8-bit ones, on the CPU."""
        return {
            f"{key}/{name}": moment
            for name, master in self._masters.items()
            for key, moment in moments_of(self._adam, master).items()
        }

    def restore(self, state: Mapping[str, torch.Tensor], *, steps_done: int) -> None:
        """Continue from `weights` and `moments`, of which there may be more; or without moments."""
        for name, master in self._masters.items():
            master.data.copy_(state[f"weight/{name}"])
            suffix = f"/{name}"
            moments = {k.removesuffix(suffix): t for k, t in state.items() if k.endswith(suffix)}
            set_moments(self._adam, master, moments, steps_done=steps_done)
        self._hand_down()

    @torch.no_grad()
    def _hand_down(self) -> None:
        """Give the model the weights that Adam moved, in its own type."""
        for name, parameter in self.parameters.items():
            if self._masters[name] is not parameter:
                parameter.copy_(self._masters[name])
