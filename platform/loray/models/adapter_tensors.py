"""The tensors of an adapter's `adapter_model.safetensors`: where they lie, and what they are of.

Needs no torch, and trusts nothing that the file says.
"""

import io
import math
import os
import re
from dataclasses import dataclass

from loray.artifacts.strict_json import parse_json
from loray.errors import AdapterError

WEIGHTS_NAME = "adapter_model.safetensors"
MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 100_000

PREFIX = "base_model.model."
"""What PEFT puts before a module's name."""
A_PART, B_PART = "lora_A.weight", "lora_B.weight"
EMBEDDING_A, EMBEDDING_B = "lora_embedding_A", "lora_embedding_B"
"""A (r, vocabulary) and B (hidden, r) of a LoRA on the embedding."""
MAGNITUDE_PART = "lora_magnitude_vector"
BIASES = ("base_layer.bias", "bias")
"""A bias of the base: of a targeted module, and of another one."""
BASE_COPY = ".base_layer.weight"
"""How the name of a base's own matrix ends, which PEFT saves beside a LoRA on it."""
DELTA = ".token_adapter.trainable_tokens_delta"
"""How the name of a table's rows that learned ends."""
WEIGHT_PART = "weight"
"""Of a module that the adapter brings in full."""

LFS_POINTER = b"version https://git-lfs"
"""How a file begins that stands for another one, which Git LFS keeps."""
LFS_REMEDY = (
    "found a Git LFS pointer in the place of the file; run `git lfs pull` in its folder, or "
    "download it"
)
EXPONENT_BITS = {"F32": (4, 0x7F800000), "F16": (2, 0x7C00), "BF16": (2, 0x7F80)}
"""Per dtype: bytes of a number, and the bits that are all ones in NaN and infinity."""

_TENSOR_NAME = re.compile(
    r"base_model\.model\.(?P<module>[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*?)"  # the shortest that fits
    r"\.(?P<part>lora_A\.weight|lora_B\.weight|lora_magnitude_vector"
    r"|lora_embedding_A|lora_embedding_B|(?:base_layer\.)?bias|weight)"
)


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor lies in the weights file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """Bytes from the file's beginning."""
    end: int

    @property
    def module(self) -> str:
        """The dotted name, in the base model, of the module that the tensor belongs to."""
        return module_and_part(self.name)[0]

    @property
    def part(self) -> str:
        """What it is of the module: A, B, the magnitudes, one of `BIASES`, or its weight."""
        return module_and_part(self.name)[1]


def module_and_part(name: str) -> tuple[str, str]:
    """What a tensor's name says; empty where it is no name that PEFT gives."""
    found = _TENSOR_NAME.fullmatch(name)
    return (found["module"], found["part"]) if found else ("", "")


def read_header(stream: io.BufferedReader) -> tuple[TensorEntry, ...]:
    """The tensors of a safetensors file, which together cover it without gap or overlap.

    Source: https://github.com/huggingface/safetensors#format
    """
    file_size = os.fstat(stream.fileno()).st_size
    head = stream.read(8)
    if head == LFS_POINTER[:8] and stream.read(len(LFS_POINTER) - 8) == LFS_POINTER[8:]:
        raise AdapterError(f"{WEIGHTS_NAME}: {LFS_REMEDY}")
    header_size = int.from_bytes(head, "little")
    if file_size < 8 or header_size > min(file_size - 8, MAX_HEADER_BYTES):
        raise _torn(f"its header would be {header_size} bytes long, the file has {file_size}")
    try:
        header = parse_json(stream.read(header_size))
    except (ValueError, RecursionError) as error:
        raise _torn(f"its header is no JSON to trust: {error}") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _torn(f"its header is no object of at most {MAX_TENSORS} tensors")
    header.pop("__metadata__", None)
    first = 8 + header_size
    tensors = sorted((_tensor(n, v, first) for n, v in header.items()), key=lambda t: t.start)
    expected = first
    for tensor in tensors:
        if tensor.start != expected:
            raise _torn(f"tensor {tensor.name!a} starts at {tensor.start}, wanted {expected}")
        expected = tensor.end
    if expected != file_size:
        raise _torn(f"its tensors end at byte {expected}, the file at {file_size}")
    return tuple(tensors)


def _tensor(name: str, value: object, first: int) -> TensorEntry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise _torn(f"tensor {name[:200]!a} has no dtype, shape and data_offsets alone")
    dtype, shape, offsets = value["dtype"], _sizes(value["shape"]), _sizes(value["data_offsets"])
    if not isinstance(dtype, str) or dtype not in EXPONENT_BITS:
        raise _torn(f"tensor {name[:200]!a} is {ascii(dtype)[:40]}, wanted F32, F16 or BF16")
    if not shape or len(offsets) != 2:
        raise _torn(f"tensor {name[:200]!a} has an impossible shape or offsets")
    length = math.prod(shape) * EXPONENT_BITS[dtype][0]
    if offsets[1] - offsets[0] != length:
        raise _torn(
            f"tensor {name[:200]!a} of shape {shape} lies in {offsets[1] - offsets[0]} bytes, "
            f"wanted {length}"
        )
    return TensorEntry(name, dtype, tuple(shape), first + offsets[0], first + offsets[1])


def _sizes(value: object) -> list[int]:
    sound = isinstance(value, list) and all(type(n) is int and 0 <= n < 2**48 for n in value)
    return value if sound and isinstance(value, list) and len(value) <= 8 else []


def _torn(what: str) -> AdapterError:
    return AdapterError(f"{WEIGHTS_NAME}: {what}; save the adapter again or fetch a sound copy")
