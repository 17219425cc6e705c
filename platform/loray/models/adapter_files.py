"""Adapter folders, checked without torch before anything reads them.

A folder is taken when it holds `adapter_config.json`, `adapter_model.safetensors`, perhaps a
`README.md`, and nothing else: plain files of their own, a configuration that is a plain LoRA, and
for every adapted module finite A (rank, in) and B (out, rank) whose shapes fit the configuration.
Biases (out,), and an embedding or output projection (vocabulary, hidden) in full, are there where
the configuration says so.
"""

import errno
import hashlib
import io
import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from loray.errors import AdapterError
from loray.models.adapter_config import (
    CONFIG_NAME,
    DEFAULT_MAX_RANK,
    AdapterConfig,
    parse_config,
)
from loray.models.adapter_tensors import (
    A_PART,
    B_PART,
    BIASES,
    EMBEDDING_A,
    EMBEDDING_B,
    EXPONENT_BITS,
    MAGNITUDE_PART,
    PREFIX,
    WEIGHT_PART,
    WEIGHTS_NAME,
    TensorEntry,
    read_header,
)

__all__ = [
    "ADAPTER_FILES", "WEIGHTS_NAME", "AdapterConfig", "TensorEntry", "adapter_digest",
    "check_adapter_folder", "copy_adapter_folder", "read_config", "tensor_entries",
]  # fmt: skip

README_NAME = "README.md"
ADAPTER_FILES = (CONFIG_NAME, WEIGHTS_NAME, README_NAME)
"""Every file that an adapter folder may hold."""

MAX_CONFIG_BYTES = 1 << 20
MAX_README_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 64 << 30
_CHUNK_BYTES = 8 << 20
_A_PARTS, _B_PARTS = (A_PART, EMBEDDING_A), (B_PART, EMBEDDING_B)


def check_adapter_folder(folder: Path, *, max_rank: int = DEFAULT_MAX_RANK) -> AdapterConfig:
    """Read and check everything in `folder`; what comes back may be loaded.

    Raises:
        AdapterError: a file, a key, a tensor or a number is not what an adapter may hold.
    """
    _check_file_names(folder)
    config = read_config(folder)
    if config.max_rank > max_rank:
        raise AdapterError(
            f"{CONFIG_NAME} asks for rank {config.max_rank}, at most {max_rank} is taken; "
            "train or truncate the adapter to a lower rank"
        )
    with _open_plain(folder / WEIGHTS_NAME, MAX_WEIGHTS_BYTES) as stream:
        tensors = read_header(stream)
        _check_tensors(config, tensors)
        for tensor in tensors:
            _check_finite(stream, tensor)
    return config


def read_config(folder: Path) -> AdapterConfig:
    """The configuration in `folder`; its weights are not looked at."""
    with _open_plain(folder / CONFIG_NAME, MAX_CONFIG_BYTES) as stream:
        return parse_config(stream.read())


def tensor_entries(folder: Path) -> tuple[TensorEntry, ...]:
    """Names, types, shapes and places of the tensors in `folder`, in the order of the file."""
    with _open_plain(folder / WEIGHTS_NAME, MAX_WEIGHTS_BYTES) as stream:
        return read_header(stream)


def adapter_digest(folder: Path) -> str:
    """SHA-256, in hex, over what decides the adapter's outputs and the bytes of its weights.

    The same adapter trained in another folder has the same digest: the base model's path, PEFT's
    version and the order of `target_modules` do not enter.
    """
    with _open_plain(folder / WEIGHTS_NAME, MAX_WEIGHTS_BYTES) as stream:
        weights = hashlib.file_digest(stream, "sha256").hexdigest()
    text = f"{read_config(folder).canonical()}\n{weights}\n"
    return hashlib.sha256(text.encode()).hexdigest()


def copy_adapter_folder(folder: Path, target: Path, *, left_out: Collection[str] = ()) -> None:
    """Copy the files that an adapter folder may hold, into an empty folder of one's own.

    What is checked and kept is then the copy: nobody can change it in between.

    Args:
        left_out: names in `folder` that are neither opened nor copied.

    Raises:
        AdapterError: `folder` holds another file, a link, or a file over its size.
    """
    _check_file_names(folder, left_out)
    sizes = {CONFIG_NAME: MAX_CONFIG_BYTES, WEIGHTS_NAME: MAX_WEIGHTS_BYTES}
    for name in sorted({path.name for path in folder.iterdir()} - set(left_out)):
        limit = sizes.get(name, MAX_README_BYTES)
        with _open_plain(folder / name, limit) as reader, (target / name).open("xb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK_BYTES)


def _check_file_names(folder: Path, left_out: Collection[str] = ()) -> None:
    if not folder.is_dir():
        raise AdapterError(f"{folder} is no folder; give the folder that PEFT saved")
    found = sorted({entry.name for entry in os.scandir(folder)} - set(left_out))
    unknown = [name for name in found if name not in ADAPTER_FILES]
    if unknown:
        raise AdapterError(
            f"the adapter folder holds {', '.join(ascii(name)[:80] for name in unknown[:5])}; "
            f"only {', '.join(ADAPTER_FILES)} are taken (no pickles, no code, no links); "
            "remove the others, or save the adapter again with safetensors"
        )
    if README_NAME in found:
        _open_plain(folder / README_NAME, MAX_README_BYTES).close()


def _open_plain(path: Path, max_bytes: int) -> io.BufferedReader:
    """Open a regular file that has one name only, without following links."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise AdapterError(
            f"{path.name} is missing; give a folder with {CONFIG_NAME} and {WEIGHTS_NAME}"
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise AdapterError(
                f"{path.name} is a link, such as a download's cache has; only plain files are "
                f"taken; copy the folder with the files themselves: cp -rL {path.parent} NEW"
            ) from None
        raise AdapterError(
            f"{path.name} cannot be read as a plain file ({error.strerror}); put a copy there"
        ) from None
    status = os.fstat(descriptor)
    fault = _file_fault(status, max_bytes)
    if fault:
        os.close(descriptor)
        raise AdapterError(f"{path.name} {fault}; put a plain copy there")
    return os.fdopen(descriptor, "rb")


def _file_fault(status: os.stat_result, max_bytes: int) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_nlink != 1:
        return f"has {status.st_nlink} hard links"
    if status.st_size > max_bytes:
        return f"has {status.st_size} bytes, at most {max_bytes} are taken"
    return None


def _check_tensors(config: AdapterConfig, tensors: tuple[TensorEntry, ...]) -> None:
    """Every tensor has its place, every module its parts, and every target a module."""
    modules: dict[str, dict[str, TensorEntry]] = {}
    for tensor in tensors:
        if not tensor.name.startswith(PREFIX):
            raise AdapterError(
                f"{WEIGHTS_NAME} holds the tensor {tensor.name[:200]!a}, whose name does not "
                f"begin with {PREFIX} as PEFT writes it; save the adapter again with PEFT's "
                "save_pretrained, or rename its tensors"
            )
        if not tensor.module or not _has_place(config, tensor):
            raise AdapterError(
                f"{WEIGHTS_NAME} holds the tensor {tensor.name[:200]!a}, which belongs to no "
                f"LoRA of target_modules {sorted(config.target_modules)[:10]} with bias "
                f"{config.bias!r} and modules_to_save {sorted(config.modules_to_save or ())}; save "
                "the adapter again with PEFT, with save_embedding_layers=False if it is an "
                "embedding that did not learn"
            )
        modules.setdefault(tensor.module, {})[tensor.part] = tensor
    for module, parts in modules.items():
        _check_module(config, module, parts)
    named = [("target_modules", n) for n in config.target_modules if not config.is_excluded(n)]
    named += [("modules_to_save", name) for name in config.modules_to_save or ()]
    for key, name in named:
        if not any(module == name or module.endswith(f".{name}") for module in modules):
            raise AdapterError(
                f"{key} names {name!a}, but no tensor of {WEIGHTS_NAME} belongs to it; "
                "save the adapter again with PEFT"
            )


def _has_place(config: AdapterConfig, tensor: TensorEntry) -> bool:
    """Whether PEFT would have put such a tensor there."""
    if tensor.part == WEIGHT_PART:
        return config.is_in_full(tensor.module)
    if tensor.part not in BIASES:
        return config.is_target(tensor.module)
    if config.bias == "none":
        return False
    is_target = config.is_target(tensor.module)
    return is_target if tensor.part == "base_layer.bias" else config.bias == "all" and not is_target


def _check_module(config: AdapterConfig, module: str, parts: dict[str, TensorEntry]) -> None:
    if config.is_in_full(module):
        _check_in_full(module, parts)
        return
    wanted = _factors(config, module, parts)
    if parts.keys() - BIASES != wanted:
        raise AdapterError(
            f"module {module!a} has {sorted(parts)}, wanted {sorted(wanted)}; "
            "save the adapter again with PEFT"
        )
    rank = config.rank(module)
    num_in = next((parts[part].shape[-1:] for part in _A_PARTS if part in parts), ())
    num_out = next(parts[part].shape[:1] for part in (*_B_PARTS, *BIASES) if part in parts)
    shapes = {
        **dict.fromkeys(_A_PARTS, (rank, *num_in)),
        **dict.fromkeys(_B_PARTS, (*num_out, rank)),
        MAGNITUDE_PART: num_out,
        **dict.fromkeys(BIASES, num_out),
    }
    for part, tensor in parts.items():
        if tensor.shape != shapes[part] or 0 in tensor.shape:
            raise AdapterError(
                f"tensor {tensor.name!a} has shape {tensor.shape}; with rank {rank} it must be "
                "(rank, inputs) for A, (outputs, rank) for B and (outputs,) for others, none of "
                "them 0; save the adapter again with PEFT"
            )


def _factors(config: AdapterConfig, module: str, parts: dict[str, TensorEntry]) -> set[str]:
    """What the file must hold of a module, biases left out."""
    if not config.is_target(module):
        return set()
    if parts.keys() & {EMBEDDING_A, EMBEDDING_B} and not config.use_dora:
        return {EMBEDDING_A, EMBEDDING_B}
    return {A_PART, B_PART, *({MAGNITUDE_PART} if config.use_dora else ())}


def _check_in_full(module: str, parts: dict[str, TensorEntry]) -> None:
    shape = parts[WEIGHT_PART].shape if parts.keys() == {WEIGHT_PART} else ()
    if len(shape) != 2 or 0 in shape:
        raise AdapterError(
            f"module {module!a}, of modules_to_save, has {sorted(parts)} of shape {shape}; wanted "
            "its weight alone, (vocabulary, hidden); save the adapter again with PEFT"
        )


def _check_finite(stream: io.BufferedReader, tensor: TensorEntry) -> None:
    import numpy as np  # noqa: PLC0415 (listing a registry should not wait for it)

    size, exponent = EXPONENT_BITS[tensor.dtype]
    stream.seek(tensor.start)
    for start in range(tensor.start, tensor.end, _CHUNK_BYTES):
        bits = np.frombuffer(stream.read(min(_CHUNK_BYTES, tensor.end - start)), dtype=f"<u{size}")
        if bool(((bits & exponent) == exponent).any()):
            raise AdapterError(
                f"tensor {tensor.name!a} holds NaN or infinity; "
                "the training diverged: take an earlier checkpoint"
            )
