"""The tensors of a base model's safetensors files, read from their headers alone; needs no torch.

A header is 8 bytes of length and a JSON object. Source:
https://github.com/huggingface/safetensors#format
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loray.artifacts.strict_json import parse_json
from loray.models.adapter_tensors import LFS_POINTER

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER_BYTES = 100 << 20
MAX_INDEX_BYTES = 100 << 20
NUMBER_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Types of numbers that a base may be stored in, and their bytes."""
PACKED = ("U8", "I8", "I16", "I32", "I64", "F8_E4M3", "F8_E5M2", "F4", "U16", "U32", "BOOL")
"""Types that hold something else than plain weights: packed or 8-bit ones, and masks."""
_SHOWN = 3
_INSTEAD = {
    ".safetensors": ("safetensors files", f"name the file {WEIGHTS}, or add its index {INDEX}"),
    ".bin": (
        "PyTorch pickles",
        "load it with transformers where you trust the files, and save it with save_pretrained",
    ),
    ".gguf": ("GGUF files", "fetch the model that they were made from, in safetensors"),
    ".pth": ("PyTorch pickles", "convert them with transformers' script for this model"),
    ".h5": ("TensorFlow weights", "convert them to safetensors with transformers"),
    ".msgpack": ("Flax weights", "convert them to safetensors with transformers"),
}
"""What folders hold in the place of safetensors, by the end of its name, and what to do."""


@dataclass(frozen=True)
class BaseTensor:
    """Where a tensor of a base model lies."""

    name: str
    dtype: str
    """As safetensors writes it: BF16, F32, ..."""
    shape: tuple[int, ...]
    path: Path
    start: int
    """Bytes from the file's beginning."""


@dataclass
class BaseWeights:
    """All tensors of a base model by name, and what is wrong with its files."""

    tensors: dict[str, BaseTensor] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read_base_weights(folder: Path) -> BaseWeights:
    """The headers of the files that transformers would load from `folder`; never raises."""
    found = BaseWeights()
    if _is_there(folder / WEIGHTS):
        _read_file(folder / WEIGHTS, found)
    elif _is_there(folder / INDEX):
        _read_index(folder, found)
    else:
        found.faults.append(_what_instead(folder))
    return found


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _check_is_file(path: Path) -> None:
    """Before it is opened, which would wait forever at a named pipe.

    Raises:
        ValueError: it is something else than a file.
    """
    if path.is_symlink() and not path.exists():
        raise ValueError(f"it is a link to {path.readlink()!s}, which is not there")
    if not path.is_file():
        raise ValueError("it is not a regular file")


def _what_instead(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for suffix, (kind, remedy) in _INSTEAD.items():
        some = [name for name in names if name.endswith(suffix)]
        if some:
            return f"found {kind} only ({_some(some)}); wanted {WEIGHTS} or {INDEX}; {remedy}"
    return f"found no weights in {folder}; wanted {WEIGHTS} or {INDEX}; fetch the model again"


def _read_index(folder: Path, found: BaseWeights) -> None:
    try:
        _check_is_file(folder / INDEX)
        with (folder / INDEX).open("rb") as stream:
            text = stream.read(MAX_INDEX_BYTES)
        document = parse_json(text)
        names = document["weight_map"] if isinstance(document, dict) else None
        sound = isinstance(names, dict) and all(
            isinstance(v, str) and v == Path(v).name for v in names.values()
        )
    except (OSError, ValueError, KeyError, RecursionError) as error:
        found.faults.append(f"{INDEX} cannot be read ({_why(error)}); fetch it again")
        return
    if not sound or not isinstance(names, dict) or not names:
        found.faults.append(f"{INDEX} has no weight_map of file names; fetch it again")
        return
    files = sorted(set(names.values()))
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        found.faults.append(
            f"{INDEX} names {_some(missing)}, which the folder lacks; fetch the missing files"
        )
    for name in files:
        if name not in missing:
            _read_file(folder / name, found)
    if not found.faults and (lost := sorted(names.keys() - found.tensors.keys())):
        found.faults.append(
            f"{INDEX} names {_some(lost)}, which none of its files holds; fetch the model again"
        )


def _read_file(path: Path, found: BaseWeights) -> None:
    try:
        tensors = list(_tensors(path))
    except (OSError, ValueError, RecursionError) as error:
        found.faults.append(f"{path.name}: {_why(error)}; fetch the file again")
        return
    twice = sorted(tensor.name for tensor in tensors if tensor.name in found.tensors)
    if twice:
        found.faults.append(
            f"{path.name} holds {_some(twice)}, which another file holds, too; wanted each "
            "tensor once; remove the file that is left over from an older copy"
        )
    found.tensors |= {tensor.name: tensor for tensor in tensors}


def _tensors(path: Path) -> Iterator[BaseTensor]:
    """The tensors in the order of the header.

    Raises:
        ValueError: what is wrong with the file.
        OSError: it cannot be read.
    """
    _check_is_file(path)
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        if head == LFS_POINTER[:8] and stream.read(len(LFS_POINTER) - 8) == LFS_POINTER[8:]:
            raise ValueError(
                "found a Git LFS pointer in the place of the weights; run `git lfs pull`"
            )
        length = int.from_bytes(head, "little")
        if size < 8:
            raise ValueError(f"found a file of {size} bytes, wanted weights")
        if length > min(size - 8, MAX_HEADER_BYTES):
            raise ValueError(
                f"its header would be {length} bytes long, the file has {size}; it is cut off, or "
                "not a safetensors file"
            )
        try:
            header = parse_json(stream.read(length))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its header is not JSON ({_why(error)})") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")  # noqa: TRY004 (a fault of the file)
    header.pop("__metadata__", None)
    end = 0
    for name, value in header.items():
        dtype, shape, first, last = _entry(name, value)
        end = max(end, last)
        yield BaseTensor(name, dtype, shape, path, 8 + length + first)
    if 8 + length + end != size:
        more = "is cut off" if 8 + length + end > size else "has more"
        raise ValueError(
            f"its tensors end at byte {8 + length + end}, but the file has {size}: it {more}"
        )


def _entry(name: str, value: object) -> tuple[str, tuple[int, ...], int, int]:
    """dtype, shape, and the first and last offset of a tensor."""
    found: Any = value
    try:
        dtype, shape = str(found["dtype"]), tuple(found["shape"])
        first, last = found["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"tensor {name[:200]!a} has no dtype, shape and data_offsets") from None
    if not all(type(n) is int and n >= 0 for n in (*shape, first, last)):
        raise ValueError(f"tensor {name[:200]!a} has an impossible shape or offsets")
    width = NUMBER_BYTES.get(dtype)
    if width is not None and last - first != width * math.prod(shape):
        raise ValueError(f"tensor {name[:200]!a} of shape {shape} lies in {last - first} bytes")
    return dtype, shape, first, last


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or "unreadable").lower()
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at character {error.pos}"
    return str(error)[:300] or type(error).__name__


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(name[:120] for name in names[:_SHOWN])
    return ascii(shown)[1:-1] + (f" and {more} more" if more > 0 else "")
