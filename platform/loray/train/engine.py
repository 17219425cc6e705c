"""The seam between the loop and what shards, averages and steps; `strategies` makes one."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import torch
from torch import nn

from loray.train.batches import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Complete: TypeAlias = Callable[[nn.Module], None]
"""What a part of a model needs before it is shared out between workers; called for each in turn."""


class Engine(Protocol):
    """What the loop and the checkpoints need of a strategy."""

    shards_weights: bool
    """Whether a worker holds only its share of what learns."""
    replicas: int
    """Groups of workers that read different sequences: each worker is one, a pipeline is one."""

    def accumulate(self, window: Sequence[Batch], scale: float) -> float:
        """Forward and backward over a step's micro-batches of this replica.

        The gradient is that of `scale` times the loss, averaged over the replicas.

        Returns:
            the summed loss, nats; the same on every worker of the replica.
        """

    def losses(self, window: Sequence[Batch]) -> list[float]:
        """Forward passes only: each micro-batch's summed loss, nats; nothing is learned."""

    def step(self, learning_rate: float) -> float:
        """Clip, move the weights, clear gradients; returns the norm before clipping."""

    def gradient(self, parameter: nn.Parameter) -> torch.Tensor:
        """The averaged gradient between `accumulate` and `step`; every worker that has it must ask.

        A stage of a pipeline leaves the parameters of the others on the meta device.
        """

    def weights(self) -> dict[str, torch.Tensor]:
        """Weights in float32, in full, by name; every worker must ask."""

    def state(self) -> dict[str, torch.Tensor]:
        """The same and Adam moments; every worker must ask."""

    def restore(self, state: dict[str, torch.Tensor], *, steps_done: int) -> None:
        """Continue from a `state` that any number of workers wrote; from `weights`, anew."""


def is_complete(part: nn.Module) -> None:
    """A `Complete` that has nothing to do: all weights are there."""


def parts_of(module: nn.Module) -> tuple[nn.Module, ...]:
    """What is shared out in turn: the decoder's layers, which come first, and what is left.

    Args:
        module: an `AnswerLoss`.
    """
    model = cast("PreTrainedModel", module.model)
    return (*cast("nn.ModuleList", model.get_decoder().layers), module)


def learning_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """What training changes, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
