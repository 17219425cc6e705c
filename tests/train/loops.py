"""The loop without Ray: one process, one worker."""

from typing import Any, NamedTuple

import torch

from loray.spec.run import RunSpec


class Looped(NamedTuple):
    """What a loop leaves."""

    losses: list[float]
    learner: Any
    engine: Any
    norms: list[float]
    """Of the gradient, at each step."""


def build(spec: RunSpec, tokens: str | None = None, *, workers: int = 1) -> Looped:
    """A learner and its engine, before the first step; EVA begins at the inputs of `tokens`."""
    from loray.train.batches import open_tokens
    from loray.train.begin import begin_at_inputs
    from loray.train.engine import make_engine
    from loray.train.learner import begin_learner, causal_lm
    from loray.train.loop import AnswerLoss

    learner, read = begin_learner(spec, device="cpu")
    if tokens is not None:
        begin_at_inputs(learner, spec, open_tokens(tokens))
    module = AnswerLoss(causal_lm(learner))
    engine = make_engine(module, spec, workers=workers, device="cpu", complete=read)
    return Looped([], learner, engine, [])


def step_through(
    looped: Looped,
    spec: RunSpec,
    tokens: str,
    steps: range,
    *,
    place: tuple[int, int] = (0, 1),
    look: Any = None,
) -> None:
    """Do some steps and add their losses.

    Args:
        place: this worker, and how many there are.
        look: called between `backward` and `step`.
    """
    from loray.train.batches import BatchSizes, micro_batches, open_tokens
    from loray.train.loop import learning_rate_at, train_step

    opened, batch = open_tokens(tokens), spec.train.batch
    worker, workers = place
    sizes = BatchSizes(batch.global_size, batch.micro_size, workers=workers)
    for step in steps:
        result = train_step(
            looped.engine,
            micro_batches(opened, step=step, seed=spec.seed, sizes=sizes, worker=worker),
            learning_rate=learning_rate_at(step, train=spec.train),
            dropout_seed=step,
            look_at_gradients=look,
        )
        looped.losses.append(result.loss)
        looped.norms.append(result.grad_norm)


def weights_of(learner: Any) -> dict[str, torch.Tensor]:
    """What learns, as an engine would name it."""
    return {
        f"weight/model.{name.removeprefix('base_model.model.')}": parameter.detach().float().clone()
        for name, parameter in learner.named_parameters()
        if parameter.requires_grad
    }
