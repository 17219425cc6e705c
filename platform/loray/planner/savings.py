"""The smallest change of a spec that makes its worker fit a device."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from pydantic import ValidationError

from loray.planner.architecture import Architecture
from loray.planner.moments import largest, worker_moments
from loray.spec.overrides import path_of, with_value
from loray.spec.run import RunSpec

MOST_CHANGES = 3
"""More at once are tried only all together."""
SHORTEST = 256
"""Tokens below which a sequence is not cut."""
MOST_WORKERS = 64


@dataclass(frozen=True)
class Saving:
    """One field with another value."""

    path: str
    value: object
    price: float = 0
    """0: the result stays the same; from 1 on: it takes so many devices; 2: it is another."""


def nearest_that_fits(spec: RunSpec, shape: Architecture, device: float) -> str | None:
    """Settings that make a worker fit, the cheapest and fewest; None when there are none.

    Args:
        device: bytes.
    """
    for changes in _by_price(tuple(_savings(spec))):
        changed = _with(spec, changes)
        if changed is None or _has_too_many_stages(changed, shape):
            continue
        if largest(worker_moments(changed, shape)).device_total <= device:
            return "set " + ", ".join(f"{saving.path}={_text(saving.value)}" for saving in changes)
    return None


def _by_price(savings: tuple[Saving, ...]) -> list[tuple[Saving, ...]]:
    """Sets of changes: by the dearest of them, then how many they are, then as they are listed."""
    found = [
        some
        for count in range(1, MOST_CHANGES + 1)
        for some in combinations(savings, count)
        if len({saving.path for saving in some}) == count
    ]
    everything = tuple({saving.path: saving for saving in savings}.values())
    found += [everything] if len(everything) > MOST_CHANGES else []
    return sorted(found, key=lambda some: (max(s.price for s in some), len(some)))


def _savings(spec: RunSpec) -> Iterator[Saving]:
    train, model = spec.train, spec.base_model
    if train.batch.micro_size > 1:
        yield Saving("train.batch.micro_size", 1)
    if not train.gradient_checkpointing:
        yield Saving("train.gradient_checkpointing", value=True)
    yield from _sharing(spec)
    if model.dtype == "float32":
        yield Saving("base_model.dtype", "bfloat16", price=2)
    if spec.method.kind == "full":
        return
    if model.quantization == "none":
        yield Saving("base_model.quantization", "nf4", price=2)
    length = spec.data.sequence.max_tokens // 2
    while length >= SHORTEST:
        yield Saving("data.sequence.max_tokens", length, price=2)
        length //= 2


def _sharing(spec: RunSpec) -> Iterator[Saving]:
    """Share out more of the model states, and between more workers."""
    strategy = spec.train.strategy
    for stage, price in ((2, 0.0), (3, 0.5)):  # the last one talks more
        shared: dict[str, object] = {"kind": "deepspeed", "zero_stage": stage}
        if strategy.kind == "plain":
            yield Saving("train.strategy", shared, price)
        elif strategy.kind == "deepspeed" and strategy.zero_stage < stage:
            offload = {"offload": strategy.offload} if strategy.offload else {}
            yield Saving("train.strategy", shared | offload, price)
    resources = spec.resources
    is_elastic = resources.min_workers is not None
    path = "resources.min_workers" if is_elastic else "resources.workers"
    most = resources.workers if is_elastic else min(MOST_WORKERS, spec.train.batch.global_size)
    workers = 2 * resources.fewest_workers
    while workers <= most:
        yield Saving(path, workers, price=1 + workers / 100)
        workers *= 2


def _has_too_many_stages(spec: RunSpec, shape: Architecture) -> bool:
    return spec.train.strategy.kind == "pipeline" and spec.resources.workers > shape.layers


def _text(value: object) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with(spec: RunSpec, changes: tuple[Saving, ...]) -> RunSpec | None:
    """A copy of `spec` with these fields changed; None where its rules are against it."""
    document: object = spec.model_dump()
    for saving in changes:
        document = with_value(document, path_of(saving.path), saving.value)
    try:
        return RunSpec.model_validate(document)
    except ValidationError:
        return None
