"""Corpora for tests: small files of rows, good and bad, and the specs that read them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from loray.data.batch import ROWS
from loray.data.sources.files import SourceFile, find_files
from loray.spec.data import DataSpec
from loray.spec.run import RunSpec

PAIR = {"prompt": "ask", "completion": "reply"}
ALL_STEPS = tuple(
    {"kind": kind} for kind in ("unicode", "control_tokens", "pii", "length", "exact_duplicates")
)

ROW_KINDS = ("whitespace", "quality", "repetition", "language", "toxicity")
"""Steps over single rows that need no settings; see `tests.data.steps.test_rows`."""


def pairs(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Sound rows, all different, of different lengths."""
    return [
        {"ask": f"what is {n}?", "reply": f"it is {'very ' * (n % 17)}{n}", "book": f"b{n % 40}"}
        for n in range(start, start + count)
    ]


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    """Rows as JSON Lines; text and bytes as they are; compressed if the name ends in .gz."""
    lines = [
        row
        if isinstance(row, bytes)
        else (row if isinstance(row, str) else json.dumps(row)).encode()
        for row in rows
    ]
    data = b"".join(line + b"\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def source(
    uri: Path | str, kind: str = "jsonl", fields: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    named = {} if kind == "text" else {"fields": fields or PAIR}
    return {"kind": kind, "uri": str(uri), **named, **more}


def file_at(path: Path, kind: str = "jsonl", **more: Any) -> SourceFile:
    """The one file of a source that names it."""
    (file,) = find_files(data_spec(source(path, kind, **more)))
    return file


def data_spec(*sources: dict[str, Any], **blocks: Any) -> DataSpec:
    return DataSpec.model_validate_json(json.dumps({"sources": sources, **blocks}))


def run_spec(base: Path, *sources: dict[str, Any], seed: int = 0, **blocks: Any) -> RunSpec:
    sequence = {"max_tokens": 128}
    data = {"sources": sources, "steps": ALL_STEPS, "sequence": sequence, **blocks}
    spec = {
        "name": "test",
        "seed": seed,
        "base_model": {"path": str(base), "quantization": "none"},
        "data": data,
        "train": {"steps": 1},
    }
    return RunSpec.model_validate_json(json.dumps(spec))


def batch_of(*conversations: list[str] | None) -> pa.Table:
    """A batch of rows: user and assistant turns by turns, or None for one that is rejected."""
    roles = ("user", "assistant")
    rows = [
        {
            "id": f"{number:016x}",
            "line": number,
            "block": 0,
            "suite": "task",
            "source": "sources.0/x",
            "group": f"g{number}",
            "changed_by": [],
            "turns": None
            if texts is None
            else [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)],
            "rejected_by": "malformed_json" if texts is None else None,
        }
        for number, texts in enumerate(conversations)
    ]
    tally = {"id": None, "line": len(rows), "block": 0}
    return pa.Table.from_pylist([*rows, tally], ROWS)


def contents(batch: pa.Table) -> list[list[str] | None]:
    """The texts of each row but the tally."""
    turns = batch["turns"].to_pylist()[:-1]
    return [row and [turn["content"] for turn in row] for row in turns]
