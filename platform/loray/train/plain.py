"""Data parallel training by torch alone: every worker holds everything, gradients are averaged.

What the other strategies are compared with, and the quickest to start. Gradients add up in float32,
and Adam moves float32 weights, whatever type the model computes in; as DeepSpeed does it.
"""

from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import nn

from loray.spec.train import TrainSpec
from loray.train.batches import Batch
from loray.train.engine import adam_over, learning_parameters
from loray.train.moments import moments_of, set_moments

BUCKET = 1 << 23
"""Numbers that are averaged at once, or a few more: 32 MiB."""


class PlainEngine:
    """torch around an `AnswerLoss` module."""

    shards_weights = False

    def __init__(self, module: nn.Module, train: TrainSpec, *, device: str) -> None:
        self._module = module
        self._max_norm = train.max_grad_norm
        self._device = device
        self._parameters = learning_parameters(module)
        self._masters = {
            name: p if p.dtype == torch.float32 else p.detach().float()
            for name, p in self._parameters.items()
        }
        self._adam = adam_over(self._masters, train.optimizer)
        self._is_averaged = False

    def loss_sum(self, batch: Batch) -> torch.Tensor:
        """Forward pass: summed loss of this worker's micro-batch, shape ()."""
        on_device = batch.to(self._device)
        loss: torch.Tensor = self._module(
            on_device.input_ids, on_device.labels, on_device.positions
        )
        return loss

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of `loss` to those of the step."""
        torch.autograd.backward(loss)
        for name, parameter in self._parameters.items():
            master = self._masters[name]
            if master is parameter or parameter.grad is None:
                continue
            gradient = parameter.grad.float()
            master.grad = gradient if master.grad is None else master.grad + gradient
            parameter.grad = None

    def step(self, learning_rate: float) -> float:
        """Clip, move the weights, clear gradients; returns the norm before clipping."""
        self._average()
        norm = nn.utils.clip_grad_norm_(self._masters.values(), self._max_norm)
        for group in self._adam.param_groups:
            group["lr"] = learning_rate * group["ratio"]
        self._adam.step()
        self._adam.zero_grad()
        self._is_averaged = False
        self._hand_down()
        return float(norm)

    def gradient(self, parameter: nn.Parameter) -> torch.Tensor:
        """The averaged gradient between `backward` and `step`; every worker must ask."""
        self._average()
        name = next(n for n, p in self._parameters.items() if p is parameter)
        found = self._masters[name].grad
        return torch.zeros_like(self._masters[name]) if found is None else found

    def weights(self) -> dict[str, torch.Tensor]:
        """`weight/<name>`, float32, on the CPU."""
        return {
            f"weight/{name}": master.detach().cpu().clone()
            for name, master in self._masters.items()
        }

    def state(self) -> dict[str, torch.Tensor]:
        """The same, and `exp_avg/<name>`, `exp_avg_sq/<name>`, with the scales of 8-bit ones."""
        moments = {
            f"{key}/{name}": moment
            for name, master in self._masters.items()
            for key, moment in moments_of(self._adam, master).items()
        }
        return self.weights() | moments

    def restore(self, state: dict[str, torch.Tensor], *, steps_done: int) -> None:
        """Continue from a `state` that any number of workers wrote; from `weights`, anew."""
        for name, master in self._masters.items():
            master.data.copy_(state[f"weight/{name}"])
            suffix = f"/{name}"
            moments = {k.removesuffix(suffix): t for k, t in state.items() if k.endswith(suffix)}
            set_moments(self._adam, master, moments, steps_done=steps_done)
        self._hand_down()

    def _average(self) -> None:
        """Average the gradients over the workers, once a step; what has none counts as zero."""
        if self._is_averaged:
            return
        for master in self._masters.values():
            if master.grad is None:
                master.grad = torch.zeros_like(master)
        if dist.get_world_size() > 1:
            for some in _in_buckets([master.grad for master in self._masters.values()]):
                flat = torch.cat([gradient.flatten() for gradient in some])
                dist.all_reduce(flat)
                parts = (flat / dist.get_world_size()).split([g.numel() for g in some])
                for gradient, part in zip(some, parts, strict=True):
                    gradient.copy_(part.view_as(gradient))
        self._is_averaged = True

    @torch.no_grad()
    def _hand_down(self) -> None:
        """Give the model the weights that Adam moved, in its own type."""
        for name, parameter in self._parameters.items():
            if self._masters[name] is not parameter:
                parameter.copy_(self._masters[name])


def _in_buckets(gradients: list[torch.Tensor | None]) -> Iterator[list[torch.Tensor]]:
    """The gradients, some at a time: each exchange between workers has a price of its own."""
    bucket: list[torch.Tensor] = []
    size = 0
    for gradient in gradients:
        assert gradient is not None  # noqa: S101 (made above)
        bucket.append(gradient)
        size += gradient.numel()
        if size >= BUCKET:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket
