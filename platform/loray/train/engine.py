"""The seam between the loop and what shards, averages and steps."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import torch
from torch import nn

from loray.models.load import DTYPES
from loray.spec.run import RunSpec
from loray.spec.train import (
    DeepSpeedStrategy,
    FsdpStrategy,
    OptimizerSpec,
    PipelineStrategy,
    PlainStrategy,
)
from loray.train.batches import Batch
from loray.train.moments import ADAM_STATES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = [
    "ADAM_STATES",
    "Complete",
    "Engine",
    "adam_over",
    "learning_parameters",
    "make_engine",
    "parts_of",
]
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


def make_engine(
    module: nn.Module,
    spec: RunSpec,
    *,
    workers: int,
    device: str,
    complete: Complete = is_complete,
) -> Engine:
    """The engine of the spec's strategy around an `AnswerLoss` module.

    Args:
        complete: gives a part its weights before it is shared out, if the strategy does that.
    """
    match spec.train.strategy:
        case DeepSpeedStrategy():
            from loray.train.zero import ZeroEngine, config_of  # noqa: PLC0415 (seconds, and a log of its own)

            config = config_of(spec, workers=workers)
            if not spec.train.shares_weights:
                return ZeroEngine(module, spec.train, config, device=device)
            from loray.train.zero3 import Zero3Engine, share_out  # noqa: PLC0415

            share_out(module, config, complete)
            return Zero3Engine(module, spec.train, config, device=device)
        case FsdpStrategy():
            from loray.train.fsdp import FsdpEngine  # noqa: PLC0415

            return FsdpEngine(
                module,
                spec.train,
                workers=workers,
                dtype=DTYPES[spec.base_model.dtype],
                device=device,
                complete=complete,
            )
        case PipelineStrategy():
            from loray.train.pipeline import PipelineEngine  # noqa: PLC0415

            return PipelineEngine(
                module,
                spec.train,
                dtype=DTYPES[spec.base_model.dtype],
                device=device,
                complete=complete,
                sees_layers=spec.begins_with_principal,
            )
        case PlainStrategy():
            from loray.train.plain import PlainEngine  # noqa: PLC0415

            return PlainEngine(module, spec.train, device=device)


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


def adam_over(parameters: dict[str, torch.Tensor], spec: OptimizerSpec) -> torch.optim.Optimizer:
    """AdamW; each group of its parameters has a `ratio`, its share of the learning rate."""
    options: dict[str, Any] = {
        "params": _groups(parameters, spec.lora_plus_ratio),
        "lr": spec.learning_rate,
        "betas": (spec.beta1, spec.beta2),
        "eps": spec.epsilon,
        "weight_decay": spec.weight_decay,
    }
    match spec.kind:
        case "adamw":
            return torch.optim.AdamW(**options)
        case "adamw_8bit":
            return _bitsandbytes().AdamW8bit(**options)  # type: ignore[no-any-return]
        case "paged_adamw_8bit":
            return _bitsandbytes().PagedAdamW8bit(**options)  # type: ignore[no-any-return]


def _bitsandbytes() -> Any:  # noqa: ANN401 (it has no types)
    import bitsandbytes  # noqa: PLC0415 (seconds, and a log of its own)

    return bitsandbytes.optim


def _groups(parameters: dict[str, torch.Tensor], b_ratio: float) -> list[dict[str, object]]:
    """Parameters by the share of the learning rate that they get; one group when all get all."""
    is_b = {name: b_ratio != 1.0 and ".lora_B." in name for name in parameters}
    rest = [p for name, p in parameters.items() if not is_b[name]]
    faster = [p for name, p in parameters.items() if is_b[name]]
    groups = [{"params": rest, "ratio": 1.0}, {"params": faster, "ratio": b_ratio}]
    return [group for group in groups if group["params"]]
