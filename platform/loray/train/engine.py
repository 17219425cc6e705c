"""The seam between the loop and what shards, averages and steps."""

from collections.abc import Sequence
from typing import Any, Protocol

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

__all__ = ["ADAM_STATES", "Engine", "adam_over", "learning_parameters", "make_engine"]


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


def make_engine(module: nn.Module, spec: RunSpec, *, workers: int, device: str) -> Engine:
    """The engine of the spec's strategy around an `AnswerLoss` module."""
    match spec.train.strategy:
        case DeepSpeedStrategy():
            from loray.train.zero import ZeroEngine  # noqa: PLC0415 (seconds, and a log of its own)
            from loray.train.zero3 import LAST_STAGE, Zero3Engine  # noqa: PLC0415

            batch, stage = spec.train.batch, spec.train.strategy.zero_stage
            return (Zero3Engine if stage == LAST_STAGE else ZeroEngine)(
                module,
                spec.train,
                spec.train.strategy,
                accumulation=batch.global_size // (batch.micro_size * workers),
                bf16=spec.base_model.dtype == "bfloat16",
                device=device,
            )
        case FsdpStrategy():
            from loray.train.fsdp import FsdpEngine  # noqa: PLC0415

            dtype = DTYPES[spec.base_model.dtype]
            return FsdpEngine(module, spec.train, workers=workers, dtype=dtype, device=device)
        case PipelineStrategy():
            from loray.train.pipeline import PipelineEngine  # noqa: PLC0415

            dtype = DTYPES[spec.base_model.dtype]
            return PipelineEngine(module, spec.train, stages=workers, dtype=dtype, device=device)
        case PlainStrategy():
            from loray.train.plain import PlainEngine  # noqa: PLC0415

            return PlainEngine(module, spec.train, device=device)


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
