"""What other forms of adapter and 8-bit moments take, beside a plain LoRA with AdamW.

Legend: `width` bytes of a number in the type of computation.
"""

from loray.planner.architecture import Architecture
from loray.planner.parameters import adapter_parts, count_outputs, targets_of
from loray.spec.run import RunSpec
from loray.spec.train import LoraMethod

FLOAT32_BYTES = 4
EIGHT_BIT_MOMENT = 1 + FLOAT32_BYTES / 256
"""Bytes of a moment in 8 bits, with its share of a scale. Source: arXiv:2110.02861, sec. 2.1."""


def moment_bytes(spec: RunSpec) -> float:
    """Bytes of a parameter's two moments; paged ones may leave the device."""
    return 2 * (FLOAT32_BYTES if spec.train.optimizer.kind == "adamw" else EIGHT_BIT_MOMENT)


def count_begun(spec: RunSpec, shape: Architecture) -> int:
    """Numbers that are held and saved as they began, beside what they became: PiSSA's A and B."""
    method = spec.method
    if not isinstance(method, LoraMethod) or method.init != "pissa":
        return 0
    return adapter_parts(shape, method).factors


def checkpoint_bytes(spec: RunSpec, shape: Architecture, learned: int, width: int) -> float:
    """Bytes of one checkpoint: what is served, and float32 weights and moments to resume from."""
    saved = (learned + count_begun(spec, shape)) * width
    return saved + learned * (FLOAT32_BYTES + moment_bytes(spec))


def own_module_bytes(spec: RunSpec, shape: Architecture, width: int) -> float:
    """What a serving slot holds of modules that its adapter brings in full."""
    method = spec.method
    if not isinstance(method, LoraMethod):
        return 0.0
    return float(adapter_parts(shape, method).in_full * width)


def dora_activation_bytes(spec: RunSpec, shape: Architecture, tokens: int, width: int) -> float:
    """What a DoRA keeps for the backward pass: the outputs of the base and of B A, which it scales.

    With dropout it passes the inputs through the base's weights once more, and out of NF4 it keeps
    those, too. Recomputing keeps them of one layer at a time.
    """
    linears = _scaled(spec, shape)
    kept = tokens * 2 * sum(outputs for _, outputs in linears)
    is_dropped = isinstance(spec.method, LoraMethod) and spec.method.dropout > 0
    if is_dropped and spec.base_model.quantization == "nf4":
        kept += sum(inputs * outputs for inputs, outputs in linears)
    return float(kept * width * (1 if spec.train.gradient_checkpointing else shape.layers))


def dora_norm_bytes(spec: RunSpec, shape: Architecture, width: int) -> float:
    """What PEFT makes to take the norms of a DoRA's largest module.

    A unit matrix of its inputs, which it passes through A and B, and B A, its scaled form and
    its sum with W0, each as large as W0.
    """
    sizes = (inputs * (inputs + 3 * outputs) for inputs, outputs in _scaled(spec, shape))
    return float(max(sizes, default=0) * width)


def gain_bytes(spec: RunSpec, shape: Architecture) -> float:
    """What a serving slot needs beside A and B.

    For a DoRA a gain for each output; for that and for learned biases a shift for each output of
    the biased projections.
    """
    method = spec.method
    if not isinstance(method, LoraMethod):
        return 0.0
    gained = shape.linear_shapes if method.dora else ()
    shifted = shape.biased if method.dora or method.biases != "none" else ()
    return float(FLOAT32_BYTES * (count_outputs(shape, gained) + count_outputs(shape, shifted)))


def _scaled(spec: RunSpec, shape: Architecture) -> list[tuple[int, int]]:
    """(inputs, outputs) of a layer's modules that learn magnitudes."""
    method = spec.method
    if not isinstance(method, LoraMethod) or not method.dora:
        return []
    return [shape.linear_shapes[name] for name in targets_of(shape, method)]
