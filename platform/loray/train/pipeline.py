"""Pipeline parallel training: every worker holds some of the layers, in order.

A step's micro-batches follow one another through the workers. Source: arXiv:1811.06965 (GPipe);
arXiv:2104.04473, sec. 2.2 (1F1B); `torch.distributed.pipelining`. What learns is moved as under the
plain strategy, by the worker that holds it.

Shapes: `B` sequences of a micro-batch, `T` tokens of the longest of the step, `H` hidden size.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from loray.spec.train import TrainSpec
from loray.train.batches import Batch, joined
from loray.train.buckets import in_buckets, laid_out
from loray.train.engine import Complete, learning_parameters
from loray.train.masters import Masters
from loray.train.stage import holders_of, keep_stage, parts_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Tensors = dict[str, torch.Tensor]
Schedule = Schedule1F1B | ScheduleGPipe


class PipelineEngine:
    """One stage of an `AnswerLoss` module on each worker; world-size free in what it saves."""

    shards_weights = True
    replicas = 1

    def __init__(
        self,
        module: nn.Module,
        train: TrainSpec,
        *,
        dtype: torch.dtype,
        device: str,
        complete: Complete,
        sees_layers: bool,
    ) -> None:
        model, stages = cast("PreTrainedModel", module.model), dist.get_world_size()
        self._stage, self._last = dist.get_rank(), stages - 1
        self._max_norm = train.max_grad_norm
        self._device = device
        self._loss_of = cast("Callable[..., torch.Tensor]", module.loss_of)
        learning, parts = learning_parameters(module), parts_of(model, stages)
        self._holders = holders_of(learning, parts)
        self._like = {name: torch.empty(p.shape, device="meta") for name, p in learning.items()}
        self._shared = [name for name, held in self._holders.items() if len(held) > 1]
        self._ends = dist.new_group([0, self._last]) if self._shared else None
        mine = {name: p for name, p in learning.items() if self._stage in self._holders[name]}
        self._computes = keep_stage(model, parts, self._stage, complete, sees_layers=sees_layers)
        self._masters = Masters(mine, train.optimizer)
        for name, parameter in mine.items():  # after each micro-batch: they add up in float32
            parameter.register_post_accumulate_grad_hook(partial(self._take, name))
        self._hidden_size, self._dtype = int(model.config.hidden_size), dtype
        self._scored: list[torch.Tensor] = []
        self._made: tuple[Any, Schedule] | None = None

    def accumulate(self, window: Sequence[Batch], scale: float) -> float:
        """Forward and backward over a step's micro-batches; returns their summed loss, nats."""
        total = sum(self._run(window, scale, learns=True))
        if self._stage in (0, self._last):
            gradients = self._masters.gradients()
            for name in self._shared:  # each end has the gradient of its own use of the weight
                dist.all_reduce(gradients[name], group=self._ends)
        return total

    @torch.no_grad()
    def losses(self, window: Sequence[Batch]) -> list[float]:
        """Forward passes only: each micro-batch's summed loss, nats; nothing is learned."""
        return self._run(window, 1.0, learns=False)

    def step(self, learning_rate: float) -> float:
        """Clip, move the weights, clear gradients; returns the norm before clipping."""
        gradients = self._masters.gradients()
        counted = [g for name, g in gradients.items() if self._owner(name) == self._stage]
        squares = nn.utils.get_total_norm(counted).double().square()
        dist.all_reduce(squares)
        norm = squares.sqrt().float()
        self._masters.step(learning_rate, norm=norm, max_norm=self._max_norm)
        return float(norm)

    def gradient(self, parameter: nn.Parameter) -> torch.Tensor:
        """The gradient between `accumulate` and `step`, of a parameter that this worker holds."""
        return self._masters.gradient(parameter)

    def weights(self) -> Tensors:
        """`weight/<name>`, of all stages, float32, on the CPU."""
        return self._gathered(self._masters.weights())

    def state(self) -> Tensors:
        """The same, and `exp_avg/<name>`, `exp_avg_sq/<name>`."""
        return self._gathered(self._masters.weights() | self._masters.moments())

    def restore(self, state: Tensors, *, steps_done: int) -> None:
        """Continue from a `state` that any number of workers wrote; from `weights`, anew."""
        self._masters.restore(state, steps_done=steps_done)

    def _take(self, name: str, _: torch.Tensor) -> None:
        self._masters.take(name)

    def _run(self, window: Sequence[Batch], scale: float, *, learns: bool) -> list[float]:
        """Pass a step's micro-batches through all stages; every worker gets all losses."""
        batch = joined(window).to(self._device)
        schedule = self._schedule(len(window), batch.input_ids.shape, learns=learns)
        given = (batch.input_ids,) if self._stage == 0 else ()
        (schedule.step if learns else schedule.eval)(
            *given,
            positions=batch.positions,
            target=batch.labels if self._stage == self._last else None,
            return_outputs=False,
            loss_kwargs={"scale": scale},
        )
        losses = torch.zeros(len(window), dtype=torch.float64, device=self._device)
        if self._stage == self._last:
            losses.copy_(torch.stack(self._scored))
            self._scored.clear()
        dist.broadcast(losses, src=self._last)
        return cast("list[float]", losses.tolist())

    def _score(self, hidden: torch.Tensor, labels: torch.Tensor, scale: float) -> torch.Tensor:
        """What the last stage goes back from, shape ()."""
        loss = self._loss_of(hidden, labels)
        self._scored.append(loss.detach())
        return loss * scale

    def _schedule(self, count: int, shape: torch.Size, *, learns: bool) -> Schedule:
        """What passes `count` micro-batches, (count B, T) together; made anew for other shapes.

        Every stage is told what it takes and gives, so that torch need not try it out.
        """
        key = (count, shape, learns)
        if self._made is None or self._made[0] != key:
            self._made = None  # its buffers go first
            rows, width = shape[0] // count, shape[1]
            hidden = torch.empty(
                (rows, width, self._hidden_size),
                dtype=self._dtype,
                device="meta",
                requires_grad=learns,
            )
            ids = torch.empty((rows, width), dtype=torch.int64, device="meta")
            stage = PipelineStage(
                self._computes,
                self._stage,
                self._last + 1,
                torch.device(self._device),
                input_args=ids if self._stage == 0 else hidden,
                output_args=hidden,
            )
            # 1F1B holds fewer micro-batches at once, and needs as many of them as there are stages.
            kind = Schedule1F1B if count > self._last else ScheduleGPipe
            made = kind(stage, count, loss_fn=self._score, scale_grads=False)
            self._made = (key, made)
        return self._made[1]

    def _owner(self, name: str) -> int:
        """The stage that speaks for a parameter."""
        return self._holders[name][0]

    def _gathered(self, mine: Tensors) -> Tensors:
        """What each stage has of its own, on every worker."""
        found: Tensors = {}
        for kind in dict.fromkeys(key.partition("/")[0] for key in mine):
            for owner in range(self._last + 1):
                names = [name for name in self._holders if self._owner(name) == owner]
                keys = (f"{kind}/{name}" for name in names)
                for some in in_buckets(self._like[name] for name in names):
                    found |= self._sent(list(islice(keys, len(some))), some, mine, owner)
        return found

    def _sent(
        self, keys: list[str], like: list[torch.Tensor], mine: Tensors, owner: int
    ) -> Tensors:
        """Some tensors of stage `owner`, shaped as `like`, on the CPU."""
        if owner == self._stage:
            flat = torch.cat([mine[key].flatten() for key in keys]).to(self._device)
        else:
            flat = torch.empty(sum(tensor.numel() for tensor in like), device=self._device)
        dist.broadcast(flat, src=owner)
        parts = zip(keys, laid_out(flat.cpu(), like), strict=True)
        return {key: mine[key] if key in mine else part.clone() for key, part in parts}
