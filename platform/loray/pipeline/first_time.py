"""How long a training takes on this machine, before it was ever run."""

from loray.errors import ModelError
from loray.machines.hardware import Machine, products_per_second
from loray.planner.devices import device_reported
from loray.planner.families import architecture_for
from loray.planner.report import flops_per_token
from loray.spec.run import RunSpec

CPU_SHARE = 0.5
"""Share of the speed of large matrix products that training reaches on a CPU."""
USUAL_CPU = 4e10
"""Multiplications and additions a second that training reaches on one of today's server cores."""


def usual_seconds(spec: RunSpec) -> float | None:
    """The same on a usual CPU: what is chosen by it is the same whenever it is chosen."""
    try:
        flops = flops_per_token(spec, architecture_for(spec.base_model))
    except ModelError:
        return None
    cpus = spec.resources.cpus_per_worker
    return flops * spec.data.sequence.max_tokens / (USUAL_CPU * cpus)


def sequence_seconds(spec: RunSpec, machine: Machine) -> float | None:
    """Seconds for a full sequence, over all workers; None where nothing is known of the device.

    By the planner's count of operations; on a CPU against matrix products that are timed just now,
    on a GPU against its datasheet.
    """
    try:
        flops = flops_per_token(spec, architecture_for(spec.base_model))
    except ModelError:
        return None
    flops *= spec.data.sequence.max_tokens
    if not machine.gpus:
        return flops / (products_per_second() * spec.resources.cpus_per_worker * CPU_SHARE)
    device = device_reported(machine.gpus[0].name)
    hours = device and device.hours(flops, spec.resources.workers, dtype=spec.base_model.dtype)
    return hours * 3600 if hours else None
