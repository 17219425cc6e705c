"""The loop without Ray: one process, one worker."""

from typing import Any, NamedTuple

from loray.spec.run import RunSpec


class Looped(NamedTuple):
    """What a loop leaves."""

    losses: list[float]
    learner: Any
    engine: Any


def build(spec: RunSpec) -> Looped:
    """A learner and its engine, before the first step."""
    from loray.train.engine import make_engine
    from loray.train.learner import build_learner, causal_lm
    from loray.train.loop import AnswerLoss

    learner = build_learner(spec, device="cpu")
    module = AnswerLoss(causal_lm(learner))
    engine = make_engine(module, spec, workers=1, device="cpu")
    return Looped([], learner, engine)


def step_through(
    looped: Looped, spec: RunSpec, tokens: str, steps: range, *, look: Any = None
) -> None:
    """Do some steps and add their losses.

    Args:
        look: called between `backward` and `step`.
    """
    from loray.train.batches import BatchSizes, micro_batches, open_tokens
    from loray.train.loop import learning_rate_at, train_step

    opened, batch = open_tokens(tokens), spec.train.batch
    sizes = BatchSizes(batch.global_size, batch.micro_size, workers=1)
    for step in steps:
        result = train_step(
            looped.engine,
            micro_batches(opened, step=step, seed=spec.seed, sizes=sizes, worker=0),
            learning_rate=learning_rate_at(step, train=spec.train),
            dropout_seed=step,
            look_at_gradients=look,
        )
        looped.losses.append(result.loss)
