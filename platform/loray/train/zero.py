"""DeepSpeed ZeRO 0, 1 and 2; `zero3` has what is different at stage 3. Source: arXiv:1910.02054."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_grad,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
)
from torch import nn

from loray.planner.memory import REDUCE_BUCKET
from loray.spec.run import RunSpec
from loray.spec.train import DeepSpeedStrategy, TrainSpec
from loray.train.batches import Batch, BatchSizes
from loray.train.engine import learning_parameters
from loray.train.moments import ADAM_STATES
from loray.train.optimizer import adam_over
from loray.train.passes import Passes

Config: TypeAlias = dict[str, Any]
"""What DeepSpeed is given to read."""
SUMS_IN_FLOAT32_FROM = 2
"""The first stage that adds up micro-batches in float32; in bfloat16 DeepSpeed gives stage 1 to
another optimizer then, which has no state that any number of workers could read."""
OFFLOAD_KEYS = {"optimizer": "offload_optimizer", "parameters": "offload_param"}


class ZeroEngine:
    """DeepSpeed around an `AnswerLoss` module; world-size free in what it saves."""

    shards_weights = False

    def __init__(self, module: nn.Module, train: TrainSpec, config: Config, *, device: str) -> None:
        self._parameters = learning_parameters(module)
        self._accumulation: int = config["gradient_accumulation_steps"]
        self._num_passes = 0
        self._device = device
        self.replicas = dist.get_world_size()
        optimizer = adam_over(dict(self._parameters), train.optimizer)
        # DeepSpeed sets the whole bucket aside; there is never more in it than what learns.
        learned = sum(full_size(parameter) for parameter in self._parameters.values())
        config["zero_optimization"]["reduce_bucket_size"] = min(learned, REDUCE_BUCKET)
        use_plain_collectives()
        self._engine, self._optimizer, _, _ = deepspeed.initialize(
            model=module, optimizer=optimizer, config=config
        )
        self._passes = Passes(self._engine, device)
        self._adam = optimizer
        # Float32 copies of the weights, sharded or not, that DeepSpeed moves in their stead.
        self._has_copies: bool = config["zero_optimization"]["stage"] > 0 or is_bfloat16(config)
        if len(optimizer.param_groups) > 1:
            # ZeRO looks for the moments of all groups once it has stepped the first one.
            self._prime_adam(0)

    def accumulate(self, window: Sequence[Batch], scale: float) -> float:
        """Forward and backward over a step's micro-batches; returns their summed loss, nats."""
        return self._passes.accumulate(window, scale, self._backward)

    def losses(self, window: Sequence[Batch]) -> list[float]:
        """Forward passes only: each micro-batch's summed loss, nats; nothing is learned."""
        return self._passes.losses(window)

    def step(self, learning_rate: float) -> float:
        """Clip, move the weights, clear gradients; returns the norm before clipping."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate * group["ratio"]
        own = None if self._has_copies else self._norm()  # DeepSpeed clips, and does not tell
        self._engine.step()
        return float(self._engine.get_global_grad_norm() or 0.0) if own is None else own

    def _norm(self) -> float:
        """L2 norm of the averaged gradients, which every worker holds in full."""
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        return float(nn.utils.get_total_norm(gradients))

    def gradient(self, parameter: nn.Parameter) -> torch.Tensor:
        """The averaged gradient between `accumulate` and `step`; every worker must ask."""
        found = safe_get_full_grad(parameter)
        return torch.zeros_like(parameter) if found is None else found.float()

    def weights(self) -> dict[str, torch.Tensor]:
        """`weight/<name>`, in full, float32, on the CPU."""
        found = {}
        for name, parameter in self._parameters.items():
            weight = safe_get_full_fp32_param(parameter) if self._has_copies else parameter
            found[f"weight/{name}"] = weight.detach().float().cpu().clone()
        return found

    def state(self) -> dict[str, torch.Tensor]:
        """The same, and `exp_avg/<name>`, `exp_avg_sq/<name>`."""
        found = self.weights()
        for name, parameter in self._parameters.items():
            for key in ADAM_STATES:
                moment = (
                    safe_get_full_optimizer_state(parameter, key)
                    if self._has_copies
                    else self._adam.state[parameter][key]
                )
                found[f"{key}/{name}"] = moment.detach().cpu().clone()
        return found

    def restore(self, state: dict[str, torch.Tensor], *, steps_done: int) -> None:
        """Continue from a `state` that any number of workers wrote; from `weights`, anew."""
        self._prime_adam(steps_done)
        for name, parameter in self._parameters.items():
            weight = state[f"weight/{name}"].to(self._device)
            parameter.data.copy_(weight)
            if self._has_copies:
                safe_set_full_fp32_param(parameter, weight)
            for key in ADAM_STATES:
                moment = state.get(f"{key}/{name}", torch.zeros_like(weight)).to(self._device)
                if self._has_copies:
                    safe_set_full_optimizer_state(parameter, moment, key)
                else:
                    self._adam.state[parameter][key].copy_(moment)

    def _backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of `loss`; the divisor is the loop's, not the accumulation count."""
        self._num_passes += 1
        self._engine.backward(loss, scale_wrt_gas=False)
        if self._num_passes % self._accumulation:
            self._engine.step()  # counts the micro-batch; the weights do not move yet

    def _prime_adam(self, steps_done: int) -> None:
        """Give Adam the moments that it otherwise makes at its first step."""
        for group in self._adam.param_groups:
            for tensor in group["params"]:
                state = self._adam.state[tensor]
                state["step"] = torch.tensor(float(steps_done))
                for key in ADAM_STATES:  # kept where ZeRO has linked them to the parameters
                    state.setdefault(key, torch.zeros_like(tensor))
        if self._has_copies:
            self._optimizer._lazy_init_hp_params_optimizer_state()  # noqa: SLF001


def full_size(parameter: nn.Parameter) -> int:
    """Its numbers, those that other workers hold too."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def config_of(spec: RunSpec, *, workers: int) -> Config:
    """DeepSpeed's configuration for the strategy of a spec."""
    train, batch = spec.train, spec.train.batch
    sizes = BatchSizes(batch.global_size, batch.micro_size, workers)
    strategy = train.strategy
    assert isinstance(strategy, DeepSpeedStrategy)  # noqa: S101 (`make_engine` asks for no other)
    sums_in_float32 = strategy.zero_stage >= SUMS_IN_FLOAT32_FROM
    return {
        "train_micro_batch_size_per_gpu": batch.micro_size,
        "gradient_accumulation_steps": sizes.passes,
        "gradient_clipping": train.max_grad_norm,
        "zero_optimization": {
            "stage": strategy.zero_stage,
            "overlap_comm": False,
            **{OFFLOAD_KEYS[what]: {"device": "cpu"} for what in strategy.offload},
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # it would be compiled on each new machine
        "bf16": {"enabled": spec.base_model.dtype == "bfloat16"},
        "steps_per_print": 1_000_000_000,
        **({"data_types": {"grad_accum_dtype": "fp32"}} if sums_in_float32 else {}),
    }


def is_bfloat16(config: Config) -> bool:
    """Whether the model computes in bfloat16."""
    return bool(config["bf16"]["enabled"])


def use_plain_collectives() -> None:
    """Start DeepSpeed's communication on the process group that Ray Train made.

    On the CPU, DeepSpeed would first compile a shared-memory all-reduce, which needs g++ and about
    20 s on a new machine; gloo does the same sums without either.
    """
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(
        dist_backend=dist.get_backend(), auto_mpi_discovery=False, verbose=False
    )
