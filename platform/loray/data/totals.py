"""Counts of what went in and what became of it, for the manifest; and the limits on them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from loray.data.ledger import Ledger
from loray.data.remedies import counts_of_rejects, remedies
from loray.data.sources.rows import NOT_READ, NOT_THERE
from loray.errors import DatasetError, SourceError
from loray.spec.data import DataSpec

SHOWN = 3


def check_budget(ledger: Ledger, data: DataSpec) -> None:
    """Refuse a corpus of which too much is bad, or nothing is left.

    Raises:
        SourceError: more rows are rejected than `data.max_rejected` allows.
        DatasetError: no row is left in training, or in a split that the spec asks for.
    """
    if len(ledger.ids) == 0:
        raise SourceError("data.sources hold no row at all; check that the files are not empty")
    reasons = counts_of_rejects(ledger)
    how = "".join(f"; {line}" for line in remedies(ledger, data))
    share = reasons.total() / len(ledger.ids)
    if share > data.max_rejected:
        most = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(SHOWN))
        raise SourceError(
            f"{reasons.total()} of {len(ledger.ids)} rows ({share:.1%}) are rejected ({most}); "
            f"data.max_rejected allows {data.max_rejected:.1%}: mend the source or the steps, or "
            f"raise the limit{how}"
        )
    shares = {"validation": data.split.validation, "test": data.split.test}
    wanted = [("task", "train"), *(("task", name) for name, s in shares.items() if s > 0)]
    if data.replay is not None:
        wanted += [("replay", name) for name in ("train", "test") if shares.get(name, 1) > 0]
    for suite, split in wanted:
        if not (ledger.is_kept & (ledger.suite == suite) & (ledger.split == split)).any():
            raise DatasetError(
                f"no {suite} row is left in the {split} split ({reasons.total()} of "
                f"{len(ledger.ids)} rows are rejected); bring more rows or a finer fields.group, "
                f"or change data.split{how}"
            )


def describe_rejects(quarantine: Path) -> str:
    """The first quarantined rows as lines of text, for a message."""
    rows = pq.read_table(
        sorted(quarantine.glob("*.parquet"))[0], columns=["source", "line", "rejected_by", "note"]
    )
    return "\n".join(map(_described, rows.slice(0, SHOWN).to_pylist()))


def _described(row: dict[str, Any]) -> str:
    note = f": {row['note']}" if row["note"] else ""
    return f"  {row['source']}:{row['line']}: {row['rejected_by']}{note}"


def odd_columns(statistics: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each source whose columns and fields are not the same."""
    for label, counts in statistics["sources"].items():
        for name, words in (("columns_not_read", NOT_READ), ("columns_not_there", NOT_THERE)):
            if names := counts.get(name):  # datasets of before have none
                yield f"{label}: {words}{', '.join(names)}"


def statistics_of(
    ledger: Ledger, *, num_packs: int, max_tokens: int, held_out: dict[str, int]
) -> dict[str, Any]:
    """What the manifest keeps: rows in = kept + quarantined, in all and for each source."""
    sequences = ledger.sequences
    used = sequences.place >= 0
    targets = sequences.num_targets
    is_replay = (ledger.suite == "replay")[sequences.row]
    num_tokens, num_targets = int(sequences.length[used].sum()), int(targets[used].sum())
    return {
        "rows": _counts(ledger, np.ones(len(ledger.ids), dtype=bool)),
        "sources": {
            str(label): {
                **_counts(ledger, ledger.label == label),
                "columns_not_read": list(ledger.unread.get(str(label), ())),
                "columns_not_there": list(ledger.absent.get(str(label), ())),
            }
            for label in np.unique(ledger.label)
        },
        "changed_by": dict(sorted(ledger.changed_by.items())),
        "found": {name: int(count) for name, count in sorted(ledger.found.items())},
        "splits": _splits(ledger),
        "held_out": held_out,
        "tokens": num_tokens,
        "target_tokens": num_targets,
        "sequences": int(used.sum()),
        "packs": num_packs,
        "packing_efficiency": round(num_tokens / max(num_packs * max_tokens, 1), 4),
        "replay_fraction": round(int(targets[used & is_replay].sum()) / max(num_targets, 1), 6),
        "seconds": {name: round(spent, 3) for name, spent in ledger.seconds.items()},
    }


def _counts(ledger: Ledger, mask: np.ndarray) -> dict[str, Any]:
    reasons = Counter(reason for reason in ledger.rejected_by[mask] if reason is not None)
    return {
        "in": int(mask.sum()),
        "kept": int((ledger.is_kept & mask).sum()),
        "quarantined": reasons.total(),
        "rejected_by": dict(sorted(reasons.items())),
    }


def _splits(ledger: Ledger) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    kept = ledger.is_kept
    for suite, split in zip(ledger.suite[kept], ledger.split[kept], strict=True):
        counts.setdefault(suite, Counter())[split] += 1
    return {suite: dict(sorted(found.items())) for suite, found in sorted(counts.items())}
