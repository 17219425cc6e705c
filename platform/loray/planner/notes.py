"""What a forecast says beside its numbers: what to know, and what to change."""

from collections.abc import Iterator

from loray.planner.architecture import Architecture
from loray.planner.memory import GIB
from loray.planner.moments import Moment, largest
from loray.planner.parameters import count_base, count_method, targets_of
from loray.planner.savings import nearest_that_fits
from loray.spec.run import RunSpec
from loray.spec.train import LoraMethod

FULL_TRAINING_LIMIT = 1_000_000_000
"""Parameters above which training every weight is rarely what one wants."""
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
        for layer in shape.layer_numbers
        if method.rank_of(shape.module_name(layer, name)) > (most := min(shape.linear_shapes[name]))
    }
    if over:
        name = min(over, key=lambda one: over[one])
        yield (
            f"a rank of method is above the {over[name]} directions that an update of {name} can "
            f"have ({len(over)} of {len(targets_of(shape, method))} targets are such); more than "
            f"{over[name]} there learns nothing more"
        )
    learned, count = count_method(shape, method), count_base(shape).total
    if learned > count:
        yield (
            f"the adapter has {learned / count:.1f} times the parameters of the base; method.kind: "
            "full learns every weight with fewer; lower method.rank, or use that"
        )


def passes_words(passes: float, *, is_estimate: bool = False) -> str:
    """How often a training sees its data, and what to do where that is too often.

    Args:
        is_estimate: whether it was told from some rows, before any was put aside.
    """
    words = f"{passes:.3g} epochs over the data"
    if is_estimate:
        words = f"about {passes:.2g} epochs over the data, estimated from its first rows"
    if passes <= MANY_PASSES:
        return words
    return (
        f"{words}: beyond about {MANY_PASSES:.0f} it mostly learns the rows by heart; lower "
        "train.steps, or bring more rows"
    )
