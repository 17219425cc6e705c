"""Ledgers for tests, without a corpus behind them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from loray.data.ledger import Ledger, Sequences


def ledger_of(
    lengths: Sequence[Sequence[int]],
    *,
    suites: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
) -> Ledger:
    """A row for each entry of `lengths`, with sequences of these lengths, all learned but one."""
    count = len(lengths)
    counts = np.array([len(row) for row in lengths], dtype=np.int64)
    flat = np.array([n for row in lengths for n in row], dtype=np.int64)
    total = len(flat)
    sequences = Sequences(
        row=np.repeat(np.arange(count), counts),
        number=np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts),
        length=flat,
        num_targets=flat - 1,
        is_used=np.ones(total, dtype=bool),
        place=np.full(total, -1),
        pack=np.full(total, -1),
    )
    return Ledger(
        ids=np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C),
        label=np.array(suites or ["sources.0"] * count, dtype=object),
        suite=np.array(suites or ["task"] * count, dtype=object),
        split=np.array(splits or ["train"] * count, dtype=object),
        rejected_by=np.full(count, None, dtype=object),
        size=np.zeros(count, dtype=np.int64),
        original=np.full(count, -1, dtype=np.int64),
        similarity=np.full(count, np.nan, dtype=np.float32),
        first_line=np.zeros(1, dtype=np.int64),
        sequences=sequences,
    )


def tables_of(ledger: Ledger, digests: dict[str, list[bytes | None]]) -> list[pa.Table]:
    """Two tables with what the rows are compared by, in no order, the second of them a slice."""
    columns = {"id": pa.array([f"{number:016x}" for number in ledger.ids], pa.string())}
    for name, values in digests.items():
        width = 16 if name.startswith("digest_") else max(len(value or b"") for value in values)
        padded = [value and value.ljust(width, b"\0") for value in values]
        columns[name] = pa.array(padded, pa.binary(width))
    table = pa.table(columns).take(np.arange(len(ledger.ids))[::-1])
    return [table.slice(0, 1), table.slice(1)]
