"""DeepSpeed ZeRO 3: every weight is shared out, frozen ones too. Source: arXiv:1910.02054, sec. 5.

A worker holds one slice of each weight, all of a size, the last one filled up; a module's weights
are put together while it computes.
"""

import deepspeed
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from deepspeed.utils import (
    safe_set_local_fp32_param,
    safe_set_local_optimizer_state,
)
from torch import nn

from loray.train.engine import Complete, parts_of
from loray.train.moments import ADAM_STATES
from loray.train.packed import let_release
from loray.train.zero import Config, ZeroEngine, is_bfloat16, use_plain_collectives


def share_out(module: nn.Module, config: Config, complete: Complete) -> None:
    """Leave each worker its slice of every weight of an `AnswerLoss`, one part after another.

    DeepSpeed finds the weights shared out, and takes them to be in the type of computation.
    """
    use_plain_collectives()
    let_release(module)
    for part in parts_of(module):
        complete(part)
        for parameter in part.parameters():
            if is_bfloat16(config) and parameter.is_floating_point():
                parameter.data = parameter.data.bfloat16()
        deepspeed.zero.Init(module=part, config_dict_or_path=config)


class Zero3Engine(ZeroEngine):
    """`ZeroEngine` where a parameter is only a slice of itself."""

    shards_weights = True

    def restore(self, state: dict[str, torch.Tensor], *, steps_done: int) -> None:
        """Continue from a `state` that any number of workers wrote; from `weights`, anew."""
        # DeepSpeed leaves small weights put together, and would go on with what they were.
        self._optimizer._partition_all_parameters()  # noqa: SLF001
        self._prime_adam(steps_done)
        for name, parameter in self._parameters.items():
            full = state[f"weight/{name}"]
            weight = self._slice(full, parameter)
            _held(parameter).copy_(weight)
            safe_set_local_fp32_param(parameter, weight)
            for key in ADAM_STATES:
                moment = state.get(f"{key}/{name}", torch.zeros_like(full))
                safe_set_local_optimizer_state(parameter, self._slice(moment, parameter), key)

    def _slice(self, full: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
        """This worker's share of a tensor that every worker has."""
        size = _held(parameter).numel()
        flat = full.flatten().to(self._device)
        padded = F.pad(flat, (0, size * dist.get_world_size() - flat.numel()))
        return padded.narrow(0, size * dist.get_rank(), size)

    def _prime_adam(self, steps_done: int) -> None:
        """Give Adam the moments that it otherwise makes at its first step."""
        for flat in self._optimizer.fp32_partitioned_groups_flat:
            state = self._adam.state[flat]
            state["step"] = torch.tensor(float(steps_done))
            for key in ADAM_STATES:
                state.setdefault(key, torch.zeros_like(flat))


def _held(parameter: nn.Parameter) -> torch.Tensor:
    """The slice of a parameter that this worker holds."""
    held: torch.Tensor = parameter.ds_tensor.data  # type: ignore[attr-defined]
    return held
