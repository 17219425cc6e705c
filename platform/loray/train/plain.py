"""Data parallel training by torch alone: every worker holds everything, gradients are averaged.

What the other strategies are compared with, and the quickest to start.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import nn

from loray.spec.train import TrainSpec
from loray.train.batches import Batch
from loray.train.buckets import in_buckets, laid_out
from loray.train.engine import learning_parameters
from loray.train.masters import Masters
from loray.train.passes import Passes


class PlainEngine:
    """torch around an `AnswerLoss` module."""

    shards_weights = False

    def __init__(self, module: nn.Module, train: TrainSpec, *, device: str) -> None:
        self._passes = Passes(module, device)
        self._max_norm = train.max_grad_norm
        self._masters = Masters(learning_parameters(module), train.optimizer)
        self._is_averaged = False
        self.replicas = dist.get_world_size()

    def accumulate(self, window: Sequence[Batch], scale: float) -> float:
        """Forward and backward over a step's micro-batches; returns their summed loss, nats."""
        return self._passes.accumulate(window, scale, self._backward)

    def losses(self, window: Sequence[Batch]) -> list[float]:
        """Forward passes only: each micro-batch's summed loss, nats; nothing is learned."""
        return self._passes.losses(window)

    def step(self, learning_rate: float) -> float:
        """Clip, move the weights, clear gradients; returns the norm before clipping."""
        self._average()
        norm = nn.utils.get_total_norm(self._masters.gradients().values())
        self._masters.step(learning_rate, norm=norm, max_norm=self._max_norm)
        self._is_averaged = False
        return float(norm)

    def gradient(self, parameter: nn.Parameter) -> torch.Tensor:
        """The averaged gradient between `accumulate` and `step`; every worker must ask."""
        self._average()
        return self._masters.gradient(parameter)

    def weights(self) -> dict[str, torch.Tensor]:
        """`weight/<name>`, float32, on the CPU."""
        return self._masters.weights()

    def state(self) -> dict[str, torch.Tensor]:
        """The same, and `exp_avg/<name>`, `exp_avg_sq/<name>`, with the scales of 8-bit ones."""
        return self._masters.weights() | self._masters.moments()

    def restore(self, state: dict[str, torch.Tensor], *, steps_done: int) -> None:
        """Continue from a `state` that any number of workers wrote; from `weights`, anew."""
        self._masters.restore(state, steps_done=steps_done)

    def _backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of `loss` to those of the step."""
        torch.autograd.backward(loss)
        for name in self._masters.parameters:
            self._masters.take(name)

    def _average(self) -> None:
        """Average the gradients over the workers, once a step; what has none counts as zero."""
        if self._is_averaged:
            return
        gradients = self._masters.gradients()
        if self.replicas > 1:
            for some in in_buckets(gradients.values()):
                flat = torch.cat([gradient.flatten() for gradient in some])
                dist.all_reduce(flat)
                for gradient, mean in zip(some, laid_out(flat / self.replicas, some), strict=True):
                    gradient.copy_(mean)
        self._is_averaged = True
