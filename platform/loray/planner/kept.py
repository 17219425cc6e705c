"""What glibc's allocator keeps of memory that was freed, on a CPU.

torch asks for aligned blocks, and glibc hardly uses a freed one again for such a request, so what
passes through a step leaves holes. How many depends on the order of all allocations: there is no
closed form. These numbers are fitted to measurements, which `docs/measurements/memory.md` has.
"""

from loray.planner.activations import activation_bytes
from loray.planner.forms import dora_activation_bytes
from loray.planner.stages import Part
from loray.planner.widths import WIDTH, tokens_per_pass
from loray.spec.run import RunSpec

MIB = 2**20
LEAST = {"lora": 175 * MIB, "full": 50 * MIB}
"""In any case, by `method.kind`."""
OF_ACTIVATIONS = {"lora": 0.55, "full": 0.5}
"""In full training gradients fill what activations leave."""
OF_RECOMPUTED = 0.5
"""At most, of activations that are made anew layer by layer."""
OF_THE_END = {"lora": 0.75, "full": 0.05}
"""Of gradients and buffers at the end of a step."""
AT_MOST = 1024 * MIB
"""More was never seen; what is larger than 32 MiB goes back at once."""


def kept_bytes(spec: RunSpec, part: Part, end: float) -> float:
    """Bytes that a worker which computes with `part` keeps after its first steps.

    Args:
        end: bytes of gradients and buffers at the end of a step.
    """
    kind, train = spec.method.kind, spec.train
    share = OF_ACTIVATIONS[kind]
    if train.gradient_checkpointing:
        share = min(share, OF_RECOMPUTED)
        train = train.model_copy(update={"gradient_checkpointing": False})
    shape, tokens, width = part.shape, tokens_per_pass(spec), WIDTH[spec.base_model.dtype]
    made = activation_bytes(spec.model_copy(update={"train": train}), shape, part.in_flight)
    made += part.in_flight * dora_activation_bytes(spec, shape, tokens, width)
    return min(AT_MOST, LEAST[kind] + share * made + OF_THE_END[kind] * end)
