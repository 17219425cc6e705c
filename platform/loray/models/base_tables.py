"""What PEFT saves of the embedding and the output projection, in the registry's form.

Beside a LoRA on one of them PEFT saves the base's own matrix, and after `resize_token_embeddings`
both: they are compared with the base's and left out. Token rows that learn
(`trainable_token_indices`) become whole matrices with these rows in them, which is how PEFT itself
computes. `V` vocabulary, `H` hidden size, `n` rows that learn.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from loray.errors import AdapterError
from loray.models.adapter_over_base import added_tokens
from loray.models.adapter_tensors import (
    BASE_COPY,
    DELTA,
    PREFIX,
    WEIGHT_PART,
    WEIGHTS_NAME,
    TensorEntry,
)
from loray.models.base_modules import BaseModules
from loray.models.base_weights import BaseTensor
from loray.models.factors import decode, encode

_ROWS = 4096
"""Rows that are in memory at a time."""
_ALIGNMENT = 8
_WIDTH = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class _Written:
    """A tensor on its way into a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    num_bytes: int
    chunks: Callable[[], Iterator[bytes]]


@dataclass
class Matrices:
    """The tensors that a weights file is to have; empty where it stays as it is."""

    tensors: list[_Written] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tensors)

    def write(self, folder: Path) -> None:
        """Put a file with these tensors in the place of the folder's."""
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        size = 0
        for tensor in self.tensors:
            header[tensor.name] = {
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "data_offsets": [size, size := size + tensor.num_bytes],
            }
        head = json.dumps(header, separators=(",", ":")).encode()
        head += b" " * (-len(head) % _ALIGNMENT)
        fresh = folder.parent / f"{folder.name}.weights"
        with fresh.open("wb") as stream:
            stream.write(len(head).to_bytes(8, "little") + head)
            for tensor in self.tensors:
                stream.writelines(tensor.chunks())
        fresh.replace(folder / WEIGHTS_NAME)


@dataclass(frozen=True)
class TableForm:
    """An adapter whose tables are to be looked at."""

    document: Mapping[str, Any]
    """Its configuration, in plain names."""
    base: BaseModules
    folder: Path
    """Where its weights file is."""


def without_base_tables(
    form: TableForm, entries: Sequence[TensorEntry], notes: list[str]
) -> tuple[dict[str, Any], Matrices]:
    """The configuration and tensors with nothing of the base's own, and whole matrices for rows.

    Raises:
        AdapterError: what is there of the base differs from it, or rows have no place in it.
    """
    document, copies = dict(form.document), _copies_of_base(form, entries)
    for entry, module in copies:
        _check_equal(form, entry, module)
    if copies:
        names = ", ".join(module for _, module in copies)
        notes.append(f"left out of {WEIGHTS_NAME}: {names}, equal to the base model's own")
    rows = {e.name[len(PREFIX) : -len(DELTA)]: e for e in entries if e.name.endswith(DELTA)}
    made = _rows_in_full(form, rows, notes)
    if document.pop("trainable_token_indices", None) is not None and not made and not rows:
        raise AdapterError(
            f"trainable_token_indices is set, but {WEIGHTS_NAME} holds no such rows; save the "
            "adapter again with PEFT"
        )
    _name_tables(document, form, entries, [tensor.name for tensor in made])
    dropped = {entry.name for entry, _ in copies} | {entry.name for entry in rows.values()}
    if not dropped:
        return document, Matrices()
    kept = [_kept(form.folder, entry) for entry in entries if entry.name not in dropped]
    return document, Matrices([*kept, *made])


def _copies_of_base(
    form: TableForm, entries: Sequence[TensorEntry]
) -> list[tuple[TensorEntry, str]]:
    """Tensors that PEFT saved of the base itself, and the module that each is of."""
    in_full = [name.rpartition(".")[2] for name in form.document.get("modules_to_save") or ()]
    is_tied_in_full = bool(form.document.get("ensure_weight_tying")) and form.base.is_tied
    found = []
    for entry in entries:
        if entry.name.endswith(BASE_COPY):
            found.append((entry, entry.name[len(PREFIX) : -len(BASE_COPY)]))
        elif entry.part == WEIGHT_PART and entry.module in form.base.tables:
            is_own = entry.module.rpartition(".")[2] in in_full or (in_full and is_tied_in_full)
            if not is_own:
                found.append((entry, entry.module))
    return found


def _check_equal(form: TableForm, entry: TensorEntry, module: str) -> None:
    own = form.base.weights.get(module)
    if own is None or module not in form.base.tables:
        raise AdapterError(
            f"tensor {entry.name!a:.200} is a weight of the base model; it is compared for "
            f"{' and '.join(form.base.tables)} only; save the adapter again without it"
        )
    if entry.shape != own.shape:
        raise AdapterError(added_tokens(module, entry.shape[0], own.shape[0]))
    _check_type(own)
    for first in range(0, own.shape[0], _ROWS):
        theirs = _rows_of(form.folder / WEIGHTS_NAME, entry.start, entry, first)
        rounded = encode(_rows_of(own.path, own.start, own, first), entry.dtype)
        ours = decode(rounded, entry.dtype).reshape(theirs.shape)
        differs = np.flatnonzero((ours != theirs).any(axis=1))
        if len(differs):
            raise AdapterError(
                f"the adapter brings {module}, and row {first + int(differs[0])} of it differs "
                "from the base model's: it was trained over another base, or its tokens were "
                f"resized; if {module} learned, list it in modules_to_save of adapter_config.json; "
                "otherwise import it for the base that it was trained on"
            )


def _rows_in_full(
    form: TableForm, rows: Mapping[str, TensorEntry], notes: list[str]
) -> list[_Written]:
    """Whole matrices for the modules of which rows learned."""
    made = []
    for module, ids, entry in _row_ids(form, rows):
        own = form.base.weights[module]
        _check_type(own)
        if twice := [number for at, number in enumerate(ids) if number in ids[:at]]:
            raise AdapterError(
                f"trainable_token_indices names the row {twice[0]} of {module} twice; train it "
                "with every row once: which of its two rows counts is not defined"
            )
        if entry.shape != (len(ids), own.shape[1]):
            raise AdapterError(
                f"trainable_token_indices names {len(ids)} rows of {module} with {own.shape[1]} "
                f"columns, {WEIGHTS_NAME} holds {entry.shape}; save the adapter again with PEFT"
            )
        if ids and max(ids) >= own.shape[0]:
            raise AdapterError(added_tokens(module, max(ids) + 1, own.shape[0]))
        made.append(_with_rows(form, module, ids, entry))
        notes.append(
            f"trainable_token_indices: {len(ids)} rows of {module} are kept as a whole matrix "
            f"({made[-1].num_bytes / 2**20:.1f} MiB)"
        )
    return made


def _row_ids(
    form: TableForm, rows: Mapping[str, TensorEntry]
) -> Iterator[tuple[str, list[int], TensorEntry]]:
    """Module, its token ids and where its rows are; a tied module has the embedding's."""
    asked = form.document.get("trainable_token_indices") or {}
    asked = {"embed_tokens": asked} if isinstance(asked, list) else asked
    named = {
        module: ids
        for key, ids in asked.items()
        for module in form.base.tables
        if module == key or module.endswith(f".{key}")
    }
    if len(named) != len(asked) or not rows.keys() <= named.keys():
        raise AdapterError(
            f"trainable_token_indices is of {', '.join(map(ascii, asked))}; rows are served of "
            f"{' and '.join(form.base.tables)} only"
        )
    embedding = form.base.embedding
    if form.base.is_tied and embedding in named:
        named.setdefault(form.base.head, named[embedding])  # PEFT ties them
    for module, ids in named.items():
        entry = rows.get(module) or rows.get(embedding)
        if entry is None:
            raise AdapterError(f"{WEIGHTS_NAME} has no rows of {module}; save the adapter again")
        yield module, ids, entry


def _with_rows(form: TableForm, module: str, ids: list[int], entry: TensorEntry) -> _Written:
    own = form.base.weights[module]
    dtype = own.dtype if own.dtype == entry.dtype else "F32"
    learned = _rows_of(form.folder / WEIGHTS_NAME, entry.start, entry, 0, len(ids))

    def chunks() -> Iterator[bytes]:
        for first in range(0, own.shape[0], _ROWS):
            values = _rows_of(own.path, own.start, own, first).copy()
            for at, row in enumerate(ids):
                if first <= row < first + len(values):
                    values[row - first] = learned[at]
            yield encode(values, dtype)

    num_bytes = own.shape[0] * own.shape[1] * _WIDTH[dtype]
    return _Written(f"{PREFIX}{module}.{WEIGHT_PART}", dtype, own.shape, num_bytes, chunks)


def _name_tables(
    document: dict[str, Any], form: TableForm, entries: Sequence[TensorEntry], made: list[str]
) -> None:
    """Say in `document` which tables are in full, and which a LoRA is on, where PEFT implied it."""
    saved = document.get("modules_to_save")
    in_full = {name.rpartition(".")[2] for name in saved or ()}
    in_full |= {name.split(".")[-2] for name in made}
    if document.pop("ensure_weight_tying", False):
        names = {entry.module for entry in entries if entry.part == WEIGHT_PART}
        if in_full and form.base.is_tied:
            in_full |= {m.rpartition(".")[2] for m in form.base.tables if m in names}
        adapted = {entry.module for entry in entries if ".lora_" in entry.name}
        targets = document["target_modules"]
        more = [m for m in form.base.tables if m in adapted and not _ends_with(m, targets)]
        if form.base.is_tied and more:
            document["target_modules"] = [*targets, *more]
    if in_full != set(saved or ()):
        document["modules_to_save"] = sorted(in_full)


def _ends_with(name: str, wanted: Sequence[str]) -> bool:
    return any(name == word or name.endswith(f".{word}") for word in wanted)


def _kept(folder: Path, entry: TensorEntry) -> _Written:
    def chunks() -> Iterator[bytes]:
        with (folder / WEIGHTS_NAME).open("rb") as stream:
            stream.seek(entry.start)
            left = entry.end - entry.start
            while left > 0 and (part := stream.read(min(left, 8 << 20))):
                left -= len(part)
                yield part

    return _Written(entry.name, entry.dtype, entry.shape, entry.end - entry.start, chunks)


def _rows_of(
    path: Path, start: int, of: TensorEntry | BaseTensor, first: int, count: int = _ROWS
) -> Any:  # noqa: ANN401 (numpy's array of float64)
    """Rows of a matrix (V, H) from `first` on, float64."""
    columns, width = of.shape[1], _WIDTH[of.dtype]
    count = min(count, of.shape[0] - first)
    with path.open("rb") as stream:
        stream.seek(start + first * columns * width)
        data = stream.read(count * columns * width)
    return decode(data, of.dtype).reshape(count, columns)


def _check_type(own: BaseTensor) -> None:
    if own.dtype not in _WIDTH:
        raise AdapterError(
            f"{own.name} of the base model is stored as {own.dtype}; wanted F32, F16 or BF16"
        )
