"""What a forecast says beside its numbers: what to know, and what to change."""

from collections.abc import Iterator

from loray.planner.architecture import Architecture
from loray.planner.memory import GIB
from loray.planner.moments import Moment, largest
from loray.planner.parameters import count_base, targets_of
from loray.planner.savings import nearest_that_fits
from loray.spec.run import RunSpec
from loray.spec.train import LoraMethod

FULL_TRAINING_LIMIT = 1_000_000_000
"""Parameters above which training every weight is rarely what one wants."""
SHARED = ("mapped files",)
"""What the processes of one node hold together, once."""
MANY_PASSES = 10.0
"""Epochs after which most of what is still learned is the rows themselves."""


def notes_of(
    spec: RunSpec, shape: Architecture, moments: tuple[Moment, ...], device: float | None
) -> Iterator[str]:
    """A sentence each.

    Args:
        moments: of one worker.
        device: bytes of its device, where one was asked about.
    """
    count, resources = count_base(shape).total, spec.resources
    if shape.listed is not None:
        yield (
            "the base model's type is not in the tested list: it is tried on a random small copy "
            "before anything is trained or served; its parameters are counted by its files, and "
            "its activations are an estimate"
        )
    if resources.fewest_workers < resources.workers:
        yield (
            f"memory is planned for whichever number of workers, {resources.fewest_workers} to "
            f"{resources.workers}, takes most"
        )
    if spec.method.kind == "full" and count > FULL_TRAINING_LIMIT:
        yield (
            f"method.kind is full on {count / 1e9:.1f}B parameters; above 1B an adapter learns "
            "about as well for a hundredth of the memory; use method.kind: lora"
        )
    if isinstance(spec.method, LoraMethod):
        yield from _rank_notes(spec.method, shape)
    peak, step = largest(moments), next(m for m in moments if m.name == "step")
    if peak is not step:
        yield (
            f"memory peaks at {peak.name}: {peak.device_total / GIB:.1f} GiB against "
            f"{step.device_total / GIB:.1f} GiB of a step"
        )
    missing = 0.0 if device is None else peak.device_total - device
    if missing > 0:
        remedy = nearest_that_fits(spec, shape, device or 0.0)
        needs = f"a worker needs {missing / GIB:.1f} GiB more than its device has"
        yield f"{needs}; {remedy or 'no setting of this spec fits; use a smaller base model'}"


def _rank_notes(method: LoraMethod, shape: Architecture) -> Iterator[str]:
    """A product B A has no more directions than the layer has inputs or outputs."""
    over = {
        name: most
        for name in targets_of(shape, method)
        for layer in shape.layer_numbers[:1]
        if method.rank_of(shape.module_name(layer, name)) > (most := min(shape.linear_shapes[name]))
    }
    if over:
        name = min(over, key=lambda one: over[one])
        yield (
            f"method.rank {method.rank} is above the {over[name]} directions that an update of "
            f"{name} can have ({len(over)} of {len(targets_of(shape, method))} targets are such); "
            f"more than {over[name]} there learns nothing more"
        )


def node_memory(workers: int, moments: tuple[Moment, ...]) -> tuple[str, float]:
    """The moment at which a node with all workers on it holds most of its own memory, and bytes."""
    sizes = {}
    for moment in moments:
        held = moment.host or moment.device
        shared = sum(size for name, size in held.items() if name in SHARED)
        sizes[moment.name] = shared + workers * (sum(held.values()) - shared)
    name = max(sizes, key=lambda one: sizes[one])
    return name, sizes[name]


def passes_words(passes: float) -> str:
    """How often a training sees its data, and what to do where that is too often."""
    words = f"{passes:.3g} epochs over the data"
    if passes <= MANY_PASSES:
        return words
    return (
        f"{words}: beyond about {MANY_PASSES:.0f} it mostly learns the rows by heart; lower "
        "train.steps, or bring more rows"
    )
