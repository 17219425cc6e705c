"""Micro-batches through a whole model, one after another: all strategies but the pipeline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from loray.train.batches import Batch


@dataclass(frozen=True)
class Passes:
    """Passes through `module`, an `AnswerLoss` or what a strategy made of one."""

    module: nn.Module
    device: str

    def accumulate(
        self, window: Sequence[Batch], scale: float, backward: Callable[[torch.Tensor], None]
    ) -> float:
        """Forward and `backward` of `scale` times the loss; returns the summed loss, nats."""
        total = 0.0
        for batch in window:
            loss = self._forward(batch)
            backward(loss * scale)
            total += loss.item()
        return total

    @torch.no_grad()
    def losses(self, window: Sequence[Batch]) -> list[float]:
        """Forward passes only: each micro-batch's summed loss, nats."""
        return [self._forward(batch).item() for batch in window]

    def _forward(self, batch: Batch) -> torch.Tensor:
        """The summed loss of a micro-batch, shape ()."""
        found = batch.to(self.device)
        loss: torch.Tensor = self.module(found.input_ids, found.labels, found.positions)
        return loss
