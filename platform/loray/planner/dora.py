"""What a DoRA needs beyond a LoRA of the same rank. Source: arXiv:2402.09353; PEFT's own layer."""

from loray.planner.activations import WIDTH, tokens_per_pass
from loray.planner.parameters import Architecture
from loray.spec.run import RunSpec
from loray.spec.train import LoraMethod


def dora_activations(spec: RunSpec, shape: Architecture) -> float:
    """Bytes that it keeps: the base's outputs and the update's, which the gains multiply.

    With dropout it passes the inputs through the base's weights once more, and out of NF4 it keeps
    those until the backward pass.
    """
    method, width = spec.method, WIDTH[spec.base_model.dtype]
    if not isinstance(method, LoraMethod) or not method.dora:
        return 0.0
    linears = [shape.linear_shapes[name] for name in method.target_modules]
    kept = tokens_per_pass(spec) * 2 * sum(outputs for _, outputs in linears)
    if method.dropout and spec.base_model.quantization == "nf4":
        kept += sum(inputs * outputs for inputs, outputs in linears)
    return float(kept * width * (1 if spec.train.gradient_checkpointing else shape.layers))


def norm_bytes(spec: RunSpec, shape: Architecture) -> float:
    """What PEFT makes to take the norms of the largest module.

    A unit matrix of its inputs, which it passes through A and B, and B A, its scaled form and
    its sum with W0, each as large as W0.
    """
    method = spec.method
    if not isinstance(method, LoraMethod) or not method.dora:
        return 0.0
    linears = [shape.linear_shapes[name] for name in method.target_modules]
    numbers = max(inputs * (inputs + 3 * outputs) for inputs, outputs in linears)
    return float(numbers * WIDTH[spec.base_model.dtype])
