"""The loop without Ray: one process, one worker."""

from typing import Any, NamedTuple

import torch

from loray.spec.run import RunSpec


class Looped(NamedTuple):
    """What a loop leaves."""

    losses: list[float]
    learner: Any
    engine: Any
    vitals: Any
    results: list[Any]
    """Of each step."""

    @property
    def norms(self) -> list[float]:
        """Of the gradient, at each step."""
        return [result.grad_norm for result in self.results]


def build(spec: RunSpec, tokens: str | None = None, *, workers: int = 1) -> Looped:
    """A learner and its engine, before the first step; EVA begins at the inputs of `tokens`."""
    from loray.train.batches import open_tokens
    from loray.train.begin import begin_at_inputs
    from loray.train.learner import begin_learner, causal_lm
    from loray.train.loop import AnswerLoss
    from loray.train.strategies import make_engine
    from loray.train.vitals import Vitals

    learner, read = begin_learner(spec, device="cpu")
    if tokens is not None:
        begin_at_inputs(learner, spec, open_tokens(tokens))
    vitals = Vitals(learner)

    def complete(part: Any) -> None:
        read(part)
        vitals.weigh(part)

    module = AnswerLoss(causal_lm(learner))
    engine = make_engine(module, spec, workers=workers, device="cpu", complete=complete)
    return Looped([], learner, engine, vitals, [])


def step_through(
    looped: Looped,
    spec: RunSpec,
    tokens: str,
    steps: range,
    *,
    worker: int = 0,
    look: Any = None,
) -> None:
    """Do some steps and add their losses.

    Args:
        worker: this one's number.
        look: called between `accumulate` and `step`.
    """
    from loray.train.batches import BatchSizes, micro_batches, open_tokens
    from loray.train.loop import learning_rate_at, train_step

    opened, batch = open_tokens(tokens), spec.train.batch
    readers = looped.engine.replicas
    sizes = BatchSizes(batch.global_size, batch.micro_size, workers=readers)
    for step in steps:
        result = train_step(
            looped.engine,
            micro_batches(opened, step=step, seed=spec.seed, sizes=sizes, worker=worker % readers),
            learning_rate=learning_rate_at(step, train=spec.train),
            dropout_seed=step,
            look_at_gradients=look,
        )
        looped.losses.append(result.loss)
        looped.results.append(result)


def weights_of(learner: Any) -> dict[str, torch.Tensor]:
    """What learns, as an engine would name it."""
    return {
        f"weight/model.{name.removeprefix('base_model.model.')}": parameter.detach().float().clone()
        for name, parameter in learner.named_parameters()
        if parameter.requires_grad
    }
