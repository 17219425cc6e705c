"""Token files and specs for the tests of training."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loray.artifacts.tokens import TOKENS, Part, write_index
from loray.spec.run import RunSpec

Row = dict[str, list[Any]]


def make_rows(count: int, *, seed: int = 0) -> list[Row]:
    """Short rows that can be learned: three tokens that take turns, the first few masked."""
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(count):
        length, prompt = int(rng.integers(8, 24)), int(rng.integers(2, 6))
        ids = (rng.integers(20, 200) + np.arange(length) % 3).tolist()
        rows.append(
            {
                "input_ids": ids,
                "labels": [-100] * prompt + ids[prompt:],
                "positions": list(range(length)),
                "row_ids": [f"{at:016x}"],
            }
        )
    return rows


def ended(rows: list[Row], end: int) -> list[Row]:
    """The rows with `end` as their last token."""
    for row in rows:
        row["input_ids"][-1] = row["labels"][-1] = end
    return rows


def pack(rows: list[Row], *, per_sequence: int) -> list[Row]:
    """Every `per_sequence` rows end to end; the first label of each is masked."""
    packs = []
    for first in range(0, len(rows), per_sequence):
        group = rows[first : first + per_sequence]
        packs.append({name: [v for row in group for v in row[name]] for name in group[0]})
    return packs


def write_tokens(dataset: Path, rows: list[Row], *, per_part: int = 1_000_000) -> str:
    """Write `tokens` under `dataset`, a few records a block; returns the folder."""
    folder = dataset / "tokens"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, len(rows), per_part):
        path = folder / f"part-{len(parts):05d}.arrow"
        some = rows[first : first + per_part]
        with pa.ipc.new_file(str(path), TOKENS) as writer:
            writer.write_table(pa.Table.from_pylist(some, schema=TOKENS), max_chunksize=5)
        tokens = sum(len(row["input_ids"]) for row in some)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        parts.append(Part(file=path.name, sequences=len(some), tokens=tokens, sha256=digest))
    write_index(folder, parts)
    return str(folder)


def make_spec(model: Path, **changes: Any) -> RunSpec:
    """A small run on `model`; `changes` by dotted path with `__` for the dots."""
    document: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "base_model": {"path": str(model), "quantization": "nf4", "dtype": "float32"},
        "data": {"sources": ({"kind": "jsonl", "uri": "none", "fields": {"text": "text"}},)},
        "method": {"kind": "lora", "rank": 4, "alpha": 8},
        "train": {
            "steps": 8,
            "batch": {"global_size": 8, "micro_size": 4},
            "optimizer": {"learning_rate": 5e-3},
            "schedule": {"kind": "cosine", "warmup_steps": 2},
            "checkpoint_every": 4,
            "vitals_every": 4,
        },
        "resources": {"workers": 1},
    }
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        block = document
        for parent in parents:
            block = block.setdefault(parent, {})
        block[leaf] = value
    return RunSpec.model_validate(document)


def spoilt(model: Path, folder: Path, fault: str) -> Path:
    """A copy of a base of which one weight holds a NaN, or is of another shape."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    if fault == "nan":
        tensors[name][3, 5] = float("nan")
    else:
        tensors[name] = tensors[name][:100].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
