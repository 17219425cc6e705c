"""How many rows a dataset kept and why others were put aside, counted in its files."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq


@dataclass(frozen=True)
class DatasetCounts:
    """Rows of a dataset; kept + quarantined is what came in."""

    kept: int
    quarantined: int
    by_split: list[tuple[str, int]]
    """Kept rows by `suite split`, largest first."""
    by_reason: list[tuple[str, int]]
    """Quarantined rows by reason, largest first."""


def count_rows(dataset: Path) -> DatasetCounts | None:
    """The counts; None when the dataset has no `rows` folder."""
    if not (dataset / "rows").is_dir():
        return None
    splits = _count(dataset / "rows", ("suite", "split"))
    reasons = _count(dataset / "quarantine", ("rejected_by",))
    return DatasetCounts(
        kept=splits.total(),
        quarantined=reasons.total(),
        by_split=_largest_first(splits),
        by_reason=_largest_first(reasons),
    )


def _count(folder: Path, columns: tuple[str, ...]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path, columns=list(columns))
        grouped = table.group_by(list(columns)).aggregate([([], "count_all")])
        for record in grouped.to_pylist():
            key = " ".join(str(record[column]) for column in columns)
            counts[key] += record["count_all"]
    return counts


def _largest_first(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
