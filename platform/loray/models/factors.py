"""The factors of an adapter as numpy arrays: read from its folder and written into another.

Biases and whole modules that it brings beside them go from folder to folder as they are.

Shapes: A (r, I), B (O, r) for a module of I inputs and O outputs. Arithmetic on them is float64;
files keep the type they had. Needs no torch.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from loray.models.adapter_config import CONFIG_NAME, AdapterConfig
from loray.models.adapter_files import WEIGHTS_NAME, TensorEntry, tensor_entries
from loray.models.adapter_tensors import A_PART, B_PART

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

UNIT_ROUNDOFF = {"F32": 2.0**-24, "F16": 2.0**-11, "BF16": 2.0**-8}
"""Half the distance from 1 to the next number. Source: IEEE 754; bfloat16 keeps 8 of 24 bits."""
SMALLEST_STEP = {"F32": 2.0**-149, "F16": 2.0**-24, "BF16": 2.0**-133}
"""Distance between the numbers next to zero."""
_ALIGNMENT = 8
"""Bytes to whose multiple safetensors fills its header up."""


@dataclass(frozen=True)
class Factors:
    """One module's A and B."""

    module: str
    """Dotted name in the base model."""
    a: Array
    """(r, I)"""
    b: Array
    """(O, r)"""
    dtype_a: str
    """Of A in the file, as safetensors writes it: F32, F16 or BF16."""
    dtype_b: str

    @property
    def rank(self) -> int:
        """Inner dimension of A and B."""
        return len(self.a)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as safetensors keeps it."""

    name: str
    dtype: str
    """F32, F16 or BF16."""
    shape: tuple[int, ...]
    data: bytes


def read_factors(folder: Path) -> Iterator[Factors]:
    """Every low-rank update of an adapter, in the order of its layers, one at a time in memory.

    The folder is to be one that `check_adapter_folder` has passed.
    """
    modules: dict[str, dict[str, TensorEntry]] = {}
    for entry in tensor_entries(folder):
        modules.setdefault(entry.module, {})[entry.part] = entry
    for module in sorted(modules, key=_numbers_by_value):
        if A_PART not in modules[module]:
            continue
        a, b = (modules[module][part] for part in (A_PART, B_PART))
        yield Factors(module, _read(folder, a), _read(folder, b), a.dtype, b.dtype)


def read_others(folder: Path) -> Iterator[StoredTensor]:
    """What an adapter brings beside its factors, as it lies in its file; one at a time."""
    for entry in tensor_entries(folder):
        if entry.part not in (A_PART, B_PART):
            yield StoredTensor(entry.name, entry.dtype, entry.shape, _bytes_of(folder, entry))


def write_factors(
    folder: Path,
    config: AdapterConfig,
    modules: Mapping[str, Factors],
    others: Iterable[StoredTensor] = (),
) -> None:
    """Write an adapter in PEFT's layout into a folder of its own; equal arguments, equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_document(config), indent=2)
    (folder / CONFIG_NAME).write_text(f"{text}\n", encoding="utf-8")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    tensors = [*(t for name in sorted(modules) for t in _stored(modules[name])), *others]
    size = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [size, size := size + len(tensor.data)],
        }
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % _ALIGNMENT)
    with (folder / WEIGHTS_NAME).open("wb") as stream:
        stream.write(len(head).to_bytes(8, "little") + head)
        stream.writelines(tensor.data for tensor in tensors)


def _stored(found: Factors) -> Iterator[StoredTensor]:
    for part, values, dtype in ((A_PART, found.a, found.dtype_a), (B_PART, found.b, found.dtype_b)):
        name = f"base_model.model.{found.module}.{part}"
        yield StoredTensor(name, dtype, values.shape, encode(values, dtype))


def encode(values: Array, dtype: str) -> bytes:
    """Numbers as safetensors keeps them, each rounded to the nearest, ties to even."""
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    single = values.astype("<f4")
    if dtype == "F32":
        return single.tobytes()
    bits = single.view("<u4")  # bfloat16 is the upper half of a float32
    upper: Array = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return upper.tobytes()


def decode(data: bytes, dtype: str) -> Array:
    """The inverse of `encode`, exact."""
    if dtype == "BF16":
        bits = np.frombuffer(data, "<u2").astype("<u4") << 16
        return bits.view("<f4").astype(np.float64)
    return np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[dtype]).astype(np.float64)


def _document(config: AdapterConfig) -> dict[str, Any]:
    """What the config was read from, and what was changed; PEFT's alphas are whole numbers."""
    document = dict(sorted(config.model_dump(mode="json", exclude_unset=True).items()))
    whole: dict[str, Any] = {"lora_alpha": _whole(config.lora_alpha)}
    if config.alpha_pattern:
        whole["alpha_pattern"] = {k: _whole(v) for k, v in config.alpha_pattern.items()}
    return document | whole


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _read(folder: Path, entry: TensorEntry) -> Array:
    return decode(_bytes_of(folder, entry), entry.dtype).reshape(entry.shape)


def _bytes_of(folder: Path, entry: TensorEntry) -> bytes:
    with (folder / WEIGHTS_NAME).open("rb") as stream:
        stream.seek(entry.start)
        return stream.read(entry.end - entry.start)


def _numbers_by_value(name: str) -> list[tuple[int, str]]:
    """A key by which layer 2 comes before layer 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
