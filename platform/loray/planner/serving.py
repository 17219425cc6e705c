"""Bytes that one serving replica needs, by what they hold."""

from loray.planner.architecture import Architecture
from loray.planner.forms import gain_bytes, own_module_bytes
from loray.planner.memory import RESERVE_BYTES, weight_bytes
from loray.planner.parameters import count_adapter
from loray.planner.widths import WIDTH
from loray.spec.run import RunSpec


def serve_memory(spec: RunSpec, shape: Architecture) -> dict[str, float]:
    """Bytes on one serving replica: the base, its adapter slots, its cache of keys and values.

    All slots are taken to hold what an adapter of this spec brings.
    """
    width = WIDTH[spec.base_model.dtype]
    slot = count_adapter(shape, shape.linear_shapes, spec.serve.max_rank) * width
    cached = spec.serve.max_batch * spec.serve.max_context
    keys = 2 * shape.layers * shape.key_size * width
    return {
        "weights": weight_bytes(spec.base_model, shape),
        "slots": spec.serve.slots * (slot + gain_bytes(spec, shape))
        + (spec.serve.slots + 1) * own_module_bytes(spec, shape, width),  # one is on its way
        "cache": float(cached * keys),
        "reserve": RESERVE_BYTES["gpu" if spec.resources.gpus_per_worker else "cpu"],
    }
