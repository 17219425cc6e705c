"""The loss and one optimizer step.

Shapes: `B` sequences, `T` tokens, `N` target tokens of the micro-batch, `V` vocabulary.
"""

import math
from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import nn
from transformers import PreTrainedModel

from loray.spec.train import TrainSpec
from loray.train.batches import IGNORED, Batch
from loray.train.engine import Engine
from loray.train.journal import StepResult
from loray.train.linear_cross_entropy import let_score, projection_of, score


class AnswerLoss(nn.Module):
    """A causal language model that returns its summed next-token loss.

    The output projection runs on target positions only, since with answer-only labels most
    positions are not, and on a block of them at a time: logits are never all there.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        let_score(projection_of(model))

    def forward(
        self, input_ids: torch.Tensor, labels: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Sum of the cross-entropy over target tokens, nats, float32, shape ().

        Without an attention mask, transformers reads packed rows off positions that restart, and
        lets no token attend across them. Source: transformers, `find_packed_sequence_indices`.
        """
        decoder = self.model.get_decoder()
        hidden = decoder(
            input_ids=input_ids, position_ids=positions, use_cache=False
        ).last_hidden_state
        return self.loss_of(hidden, labels)

    def loss_of(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The same of what the decoder gives: `hidden` (B, T, hidden size), after its last norm."""
        is_target = labels[:, 1:] != IGNORED
        head = projection_of(self.model)
        return score(head, hidden[:, :-1][is_target], labels[:, 1:][is_target])


def train_step(
    engine: Engine,
    batches: Iterable[Batch],
    *,
    learning_rate: float,
    dropout_seed: int,
    look_at_gradients: Callable[[], None] | None = None,
) -> StepResult:
    """One optimizer step over this worker's micro-batches.

    Every target token of the global batch weighs the same, however the sequences were dealt out:
    the loss sum is divided by the global count, and multiplied by the number of replicas because
    the engine averages gradients over them. `look_at_gradients` runs before the weights move.
    """
    torch.manual_seed(dropout_seed)  # makes dropout a function of the step: nothing to checkpoint
    window = list(batches)
    num_targets, num_tokens = over_replicas(
        engine,
        sum(batch.num_targets for batch in window),
        sum(batch.num_tokens for batch in window),
    )
    scale = engine.replicas / max(num_targets, 1.0)
    loss_sum = engine.accumulate(window, scale)
    if look_at_gradients is not None:
        look_at_gradients()
    grad_norm = engine.step(learning_rate)
    (loss,) = over_replicas(engine, loss_sum)
    return StepResult(
        loss=loss / max(num_targets, 1.0),
        num_targets=int(num_targets),
        num_tokens=int(num_tokens),
        grad_norm=grad_norm,
        learning_rate=learning_rate,
    )


def loss_on(engine: Engine, batches: Iterable[Batch]) -> float:
    """Mean loss per target token over all workers' micro-batches, nats; nothing is learned."""
    window = list(batches)
    loss, num_targets = over_replicas(
        engine, sum(engine.losses(window)), sum(batch.num_targets for batch in window)
    )
    return loss / max(num_targets, 1.0)


def over_replicas(engine: Engine, *values: float) -> list[float]:
    """Each value summed over the replicas, in float64; all workers of one have the same."""
    totals = torch.tensor(values, dtype=torch.float64)
    if dist.get_backend() == "nccl":
        totals = totals.cuda()
    dist.all_reduce(totals)
    workers_each = dist.get_world_size() // engine.replicas
    return [float(total) / workers_each for total in totals]


def learning_rate_at(step: int, *, train: TrainSpec) -> float:
    """The learning rate of `step` (from 0): linear warm-up to its peak, then the schedule."""
    peak, schedule = train.optimizer.learning_rate, train.schedule
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    if schedule.kind == "constant":
        return peak
    progress = (step - schedule.warmup_steps) / max(train.steps - 1 - schedule.warmup_steps, 1)
    if schedule.kind == "cosine":
        progress = 0.5 - 0.5 * math.cos(math.pi * progress)
    return peak * (1.0 - progress * (1.0 - schedule.final_fraction))
