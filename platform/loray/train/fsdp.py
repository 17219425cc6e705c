"""Fully sharded data parallel training: FSDP2. Source: arXiv:2304.11277; torch's `fully_shard`.

Every worker holds its share of each weight, frozen ones and 4-bit ones too; a layer is put
together while it computes. What learns is kept in float32 and computed with in the model's type, as
the other engines do it; gradients are averaged in float32.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from loray.spec.train import TrainSpec
from loray.train.batches import Batch
from loray.train.engine import Complete, learning_parameters, parts_of
from loray.train.moments import ADAM_STATES
from loray.train.optimizer import adam_over
from loray.train.passes import Passes


class FsdpEngine:
    """`fully_shard` around an `AnswerLoss` module; world-size free in what it saves."""

    shards_weights = True

    def __init__(
        self,
        module: nn.Module,
        train: TrainSpec,
        *,
        workers: int,
        dtype: torch.dtype,
        device: str,
        complete: Complete,
    ) -> None:
        self._passes = Passes(module, device)
        self.replicas = workers
        self._max_norm = train.max_grad_norm
        self._device = device
        mesh = init_device_mesh(torch.device(device).type, (workers,))
        policy = MixedPrecisionPolicy(
            param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        for part in parts_of(module):
            complete(part)
            for parameter in learning_parameters(part).values():  # of what is not yet shared out
                if not isinstance(parameter, DTensor):
                    parameter.data = parameter.data.float()
            fully_shard(part, mesh=mesh, mp_policy=policy)
        self._parameters = learning_parameters(module)
        self._adam = adam_over(dict(self._parameters), train.optimizer)

    def accumulate(self, window: Sequence[Batch], scale: float) -> float:
        """Forward and backward over a step's micro-batches; returns their summed loss, nats.

        Gradients are averaged as they come, each worker keeps its share.
        """
        return self._passes.accumulate(window, scale, torch.autograd.backward)

    def losses(self, window: Sequence[Batch]) -> list[float]:
        """Forward passes only: each micro-batch's summed loss, nats; nothing is learned."""
        return self._passes.losses(window)

    def step(self, learning_rate: float) -> float:
        """Clip, move the weights, clear gradients; returns the norm before clipping."""
        for parameter in self._parameters.values():
            if parameter.grad is None:  # no gradient reaches it: it has moments all the same
                parameter.grad = torch.zeros_like(parameter)
        norm = nn.utils.clip_grad_norm_(self._parameters.values(), self._max_norm)
        for group in self._adam.param_groups:
            group["lr"] = learning_rate * group["ratio"]
        self._adam.step()
        self._adam.zero_grad()
        return float(_whole(norm))

    def gradient(self, parameter: nn.Parameter) -> torch.Tensor:
        """The averaged gradient between `accumulate` and `step`; every worker must ask."""
        if parameter.grad is None:
            return torch.zeros(parameter.shape, device=self._device)
        return _whole(parameter.grad)

    def weights(self) -> dict[str, torch.Tensor]:
        """`weight/<name>`, in full, float32, on the CPU."""
        return {
            f"weight/{name}": _whole(parameter.detach()).cpu().clone()
            for name, parameter in self._parameters.items()
        }

    def state(self) -> dict[str, torch.Tensor]:
        """The same, and `exp_avg/<name>`, `exp_avg_sq/<name>`."""
        moments = {
            f"{key}/{name}": _whole(self._adam.state[parameter][key]).cpu().clone()
            for name, parameter in self._parameters.items()
            for key in ADAM_STATES
        }
        return self.weights() | moments

    @torch.no_grad()
    def restore(self, state: dict[str, torch.Tensor], *, steps_done: int) -> None:
        """Continue from a `state` that any number of workers wrote; from `weights`, anew."""
        for name, parameter in self._parameters.items():
            weight = state[f"weight/{name}"]
            parameter.copy_(self._shared_out(weight, parameter))
            zeros = torch.zeros_like(weight)
            moments = {
                key: self._shared_out(state.get(f"{key}/{name}", zeros), parameter)
                for key in ADAM_STATES
            }
            self._adam.state[parameter] = {"step": torch.tensor(float(steps_done)), **moments}

    def _shared_out(self, full: torch.Tensor, like: nn.Parameter) -> DTensor:
        """This worker's share of a tensor that every worker has."""
        assert isinstance(like, DTensor)  # noqa: S101 (`fully_shard` made it one)
        return distribute_tensor(
            full.to(self._device), like.device_mesh, like.placements, src_data_rank=None
        )


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
