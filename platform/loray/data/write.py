"""The dataset's row files: kept rows, quarantined rows, and held-out rows for scoring.

Files depend on the rows and nothing else: rows come in order of id, and groups and parts end after
a fixed number of rows.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loray.data.batch import TURNS, put
from loray.data.exchange import in_groups
from loray.data.ids import row_numbers
from loray.data.ledger import Ledger

GROUP_ROWS = 4096
PART_GROUPS = 64

KEPT = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),
        ("group", pa.string()),
        ("suite", pa.string()),
        ("split", pa.string()),
        ("turns", TURNS),
        ("changed_by", pa.list_(pa.string())),
    ]
)
QUARANTINED = pa.schema(
    [*KEPT, *(pa.field(name, pa.string()) for name in ("rejected_by", "note", "raw"))]
)
HELD_OUT = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", TURNS),
        ("reasoning", pa.string()),
        ("reference", pa.string()),
    ]
)


@dataclass(frozen=True)
class Settle:
    """Put what the ledger decided into a batch: lines counted in their file, final reasons."""

    ids: np.ndarray
    reason: pa.DictionaryArray
    first_line: np.ndarray
    original: np.ndarray
    similarity: np.ndarray

    @classmethod
    def of(cls, ledger: Ledger) -> Self:
        """Everything a batch needs from the ledger."""
        reason = pa.array(ledger.rejected_by, pa.string()).dictionary_encode()
        return cls(ledger.ids, reason, ledger.first_line, ledger.original, ledger.similarity)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The rows of a batch, without its tally, each with its `rank` by id."""
        rows = batch.filter(pc.is_valid(batch["id"]))
        at = np.searchsorted(self.ids, row_numbers(rows["id"]))
        lines = rows["line"].to_numpy() + self.first_line[rows["block"].to_numpy()]
        rows = put(rows, "line", pa.array(lines, pa.int64()))
        rows = put(rows, "rejected_by", self.reason.take(pa.array(at)).cast(pa.string()))
        kept = zip(self.original[at].tolist(), self.similarity[at].tolist(), strict=True)
        notes = pa.array([self._stands_for(*found) for found in kept], pa.string())
        rows = put(rows, "note", pc.coalesce(notes, rows["note"]))
        return put(rows, "rank", pa.array(at)).select([*QUARANTINED.names, "texts", "rank"])

    def _stands_for(self, original: int, similarity: float) -> str | None:
        if original < 0:
            return None
        measured = "" if isnan(similarity) else f"; their similarity is {similarity:.3f}"
        return f"{self.ids[original]:016x} is kept in its stead{measured}"


class PartWriter:
    """Parquet files of a fixed number of rows, or one file where a name is given."""

    def __init__(self, folder: Path, schema: pa.Schema, name: str | None = None) -> None:
        self.num_rows = 0
        self._folder = folder
        self._schema = schema
        self._name = name
        self._pending: list[pa.Table] = []
        self._num_groups = 0
        self._writer: pq.ParquetWriter | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, rows: pa.Table) -> None:
        """Write `rows` once they fill a group; until then they wait."""
        self.num_rows += rows.num_rows
        self._pending.append(rows.select(self._schema.names).cast(self._schema))
        if sum(table.num_rows for table in self._pending) < GROUP_ROWS:
            return
        *whole, rest = [*in_groups(self._pending, GROUP_ROWS), self._schema.empty_table()]
        if whole[-1].num_rows < GROUP_ROWS:
            rest = whole.pop()
        for group in whole:
            self._write(group)
        self._pending = [rest]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        rest = pa.concat_tables([self._schema.empty_table(), *self._pending]).combine_chunks()
        if rest.num_rows or self._num_groups == 0:
            self._write(rest)
        if self._writer is not None:
            self._writer.close()

    def _write(self, group: pa.Table) -> None:
        if self._writer is None or (self._num_groups % PART_GROUPS == 0 and self._name is None):
            if self._writer is not None:
                self._writer.close()
            name = self._name or f"part-{self._num_groups // PART_GROUPS:05d}.parquet"
            self._writer = pq.ParquetWriter(self._folder / name, self._schema, compression="zstd")
        self._writer.write_table(group)
        self._num_groups += 1


def write_rows(out: Path, batches: Iterable[pa.Table], *, has_replay: bool) -> dict[str, int]:
    """Write settled batches, in order of id, to `rows`, `quarantine` and `eval`.

    Returns:
        rows of each file under `eval`, by its name.
    """
    suites = {"validation": ("task", "validation"), "test": ("task", "test")}
    if has_replay:
        suites["general"] = ("replay", "test")
    with ExitStack() as stack:
        kept = stack.enter_context(PartWriter(out / "rows", KEPT))
        quarantined = stack.enter_context(PartWriter(out / "quarantine", QUARANTINED))
        held_out = {
            name: stack.enter_context(PartWriter(out / "eval", HELD_OUT, f"{name}.parquet"))
            for name in suites
        }
        for batch in batches:
            is_kept = pc.is_null(batch["rejected_by"])
            good = batch.filter(is_kept)
            kept.add(good)
            quarantined.add(batch.filter(pc.invert(is_kept)))
            for name, (suite, split) in suites.items():
                is_in = pc.and_(pc.equal(good["suite"], suite), pc.equal(good["split"], split))
                held_out[name].add(_held_out_rows(good.filter(is_in)))
    return {name: writer.num_rows for name, writer in held_out.items()}


def _held_out_rows(batch: pa.Table) -> pa.Table:
    """What is asked and what is expected: the turns before the last answer, and that answer.

    Calls of tools are no answer to compare with, nor is an answer of weight 0, so a row that has
    nothing else has none.
    """
    rows: list[dict[str, Any]] = []
    for record in batch.select(["id", "turns", "texts"]).to_pylist():
        if record["texts"]:
            pieces = enumerate(record["texts"])
            rows += [
                {"id": f"{record['id']}.{at}", "prompt": [], "reference": t} for at, t in pieces
            ]
            continue
        turns = record["turns"]
        answers = [at for at in range(len(turns)) if _is_answer(turns, at)]
        if answers:
            at = answers[-1]
            start = _start_of(turns, at)
            thought = next(
                (t["content"] for t in turns[start:at] if t["role"] == "reasoning"), None
            )
            found = {"prompt": turns[:start], "reasoning": thought}
            rows.append({"id": record["id"], **found, "reference": turns[at]["content"]})
    return pa.Table.from_pylist(rows, HELD_OUT)


def _is_answer(turns: Sequence[Mapping[str, str]], at: int) -> bool:
    """Whether a turn is an answer to compare with."""
    if turns[at]["role"] != "assistant" or [t["role"] for t in turns[at + 1 : at + 2]] == ["calls"]:
        return False
    about = (t for t in turns[_start_of(turns, at) : at] if t["role"] == "about")
    return all(json.loads(turn["content"]).get("weight") != 0 for turn in about)


def _start_of(turns: Sequence[Mapping[str, str]], at: int) -> int:
    """Where the turns about an answer begin."""
    while at > 0 and turns[at - 1]["role"] in ("about", "reasoning"):
        at -= 1
    return at
