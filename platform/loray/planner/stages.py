"""How a pipeline cuts a model into stages, one for every worker."""

from dataclasses import dataclass, replace

from loray.errors import UnsupportedError
from loray.planner.architecture import Architecture
from loray.spec.run import RunSpec


@dataclass(frozen=True)
class Part:
    """What one worker computes with: all of a model, or a stage of it."""

    shape: Architecture
    in_flight: int = 1
    """Micro-batches whose activations it keeps at once: all of them where there are fewer than
    stages (GPipe), else those that are under way (1F1B). Source: arXiv:2104.04473, sec. 2.2."""
    received: int = 0
    """Hidden states of so many micro-batches that room is set aside for: what the stage before
    sends, and the gradients that the one after sends back."""


def split_layers(layers: int, stages: int) -> tuple[range, ...]:
    """The numbers of each stage's layers, in order.

    All have as many, or some in the middle one more: the ends have the embedding and the output
    projection as well. Of two stages the first one has more.

    Raises:
        UnsupportedError: there are more stages than layers.
    """
    if stages > layers:
        raise UnsupportedError(
            f"found resources.workers: {stages} with train.strategy.kind: pipeline, but the base "
            f"model has {layers} layers, and each worker holds one at least; use {layers} workers "
            "or fewer, or another strategy"
        )
    each, more = divmod(layers, stages)
    first = (stages - more) // 2
    sizes = [each + (first <= stage < first + more) for stage in range(stages)]
    starts = [sum(sizes[:stage]) for stage in range(stages)]
    return tuple(range(at, at + size) for at, size in zip(starts, sizes, strict=True))


def parts_of(spec: RunSpec, shape: Architecture) -> tuple[Part, ...]:
    """What the workers compute with, each kind once: the stages of a pipeline, or all of the model.

    Raises:
        UnsupportedError: a pipeline has more stages than the model has layers.
    """
    if spec.train.strategy.kind != "pipeline":
        return (Part(shape),)
    stages, passes = spec.resources.fewest_workers, spec.accumulation_steps
    last = stages - 1
    return tuple(
        Part(
            replace(
                shape,
                layers=len(numbers),
                first_layer=numbers.start,
                has_embedding=stage == 0,
                has_head=stage == last,
            ),
            in_flight=passes if passes < stages else min(stages - stage, passes),
            received=passes * ((stage > 0) + (stage < last)),
        )
        for stage, numbers in enumerate(split_layers(shape.layers, stages))
    )


def busy_share(spec: RunSpec) -> float:
    """Share of a step that a worker computes; a pipeline's wait while it fills and empties.

    Source: arXiv:2104.04473, sec. 2.2.1.
    """
    if spec.train.strategy.kind != "pipeline":
        return 1.0
    return spec.accumulation_steps / (spec.accumulation_steps + spec.resources.workers - 1)
