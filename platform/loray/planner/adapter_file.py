"""How large the file of an adapter's weights will be, to the byte.

A safetensors file is 8 bytes of length, a JSON header that names every tensor, and the numbers.
Source: https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Iterator

from loray.planner.architecture import Architecture
from loray.planner.parameters import biases_of, targets_of
from loray.planner.widths import WIDTH
from loray.spec.run import RunSpec
from loray.spec.train import LoraMethod

_PREFIX = "base_model.model."
_DTYPE = {"bfloat16": "BF16", "float32": "F32"}
_ALIGNMENT = 8
_TABLES = {"embed_tokens": "model.embed_tokens", "lm_head": "lm_head"}


def adapter_file_bytes(spec: RunSpec, shape: Architecture) -> int | None:
    """Bytes of `adapter_model.safetensors`; None for a full training, which makes none."""
    method = spec.method
    if not isinstance(method, LoraMethod):
        return None
    dtype, header, size = spec.base_model.dtype, {"__metadata__": {"format": "pt"}}, 0
    for name, sides in sorted(_tensors(method, shape)):
        length = WIDTH[dtype]
        for side in sides:
            length *= side
        entry = {"dtype": _DTYPE[dtype], "shape": sides, "data_offsets": [size, size + length]}
        header[_PREFIX + name] = entry  # type: ignore[assignment]
        size += length
    head = len(json.dumps(header, separators=(",", ":")))
    return 8 + head + -head % _ALIGNMENT + size


def _tensors(method: LoraMethod, shape: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor that is saved."""
    targets, biased = targets_of(shape, method), biases_of(shape, method)
    times = 2 if method.init == "pissa" else 1  # what it became beside what it began as
    for layer in shape.layer_numbers:
        for name, (inputs, outputs) in shape.linear_shapes.items():
            module = shape.module_name(layer, name)
            if name in targets:
                rank = times * method.rank_of(module)
                yield f"{module}.lora_A.weight", (rank, inputs)
                yield f"{module}.lora_B.weight", (outputs, rank)
                if method.dora:
                    yield f"{module}.lora_magnitude_vector", (outputs,)
            if name in biased:
                yield f"{module}.{'base_layer.' if name in targets else ''}bias", (outputs,)
    for name in set(method.modules_to_save):
        yield f"{_TABLES[name]}.weight", (shape.vocabulary, shape.hidden)
