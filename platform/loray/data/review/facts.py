"""What a report tells of a dataset: the manifest's counts, and what the files say beside them."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.artifacts.manifest import Manifest
from loray.artifacts.tokens import TokenParts
from loray.data.review.folder import batches_of, read_manifest, rows_by_id
from loray.data.sequences.encode import IGNORED
from loray.spec.readmit import REASONS, UNREADABLE

SAMPLES = 3
"""Rows that are shown for each reason."""
PAIRS = 5
"""Pairs that are shown of each kind of duplicates."""
NOTED = re.compile(r"([0-9a-f]{16}) is kept in its stead")
DUPLICATES = {"exact_duplicate": "exact_duplicates", "near_duplicate": "near_duplicates"}
_STAGE_OF = {
    **{reason: kind for kind, reasons in REASONS.items() for reason in reasons},
    **DUPLICATES,
    **dict.fromkeys(UNREADABLE, "reading"),
    **dict.fromkeys(("empty_prompt", "empty_completion", "empty_text"), "reading, or a step"),
    **dict.fromkeys(("too_long", "chat_template"), "rendering"),
    "not_drawn": "replay",
}


class Lengths(NamedTuple):
    """Tokens of every training sequence; arrays of one length."""

    whole: np.ndarray
    learned: np.ndarray

    @property
    def context(self) -> np.ndarray:
        """What is seen and not learned."""
        return np.asarray(self.whole - self.learned)


class Pair(NamedTuple):
    """A duplicate and the row that is kept in its stead."""

    rejected: Mapping[str, Any]
    kept: Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """Everything that the report shows."""

    manifest: Manifest
    lengths: Lengths
    samples: dict[str, list[dict[str, Any]]]
    """The first quarantined rows of each reason but duplicates."""
    pairs: list[Pair]

    @property
    def statistics(self) -> dict[str, Any]:
        """Counts of the manifest."""
        return self.manifest.statistics

    @property
    def data(self) -> dict[str, Any]:
        """The spec's block that the dataset was made by."""
        block: dict[str, Any] = self.manifest.recipe["data"]
        return block


def gather_facts(folder: Path) -> Facts:
    """Everything that the report of the dataset in `folder` shows.

    Raises:
        ArtifactError: the folder is no committed dataset, or is damaged.
    """
    manifest = read_manifest(folder)
    reasons = manifest.statistics["rows"]["rejected_by"]
    return Facts(
        manifest,
        token_lengths(folder / "tokens"),
        first_rejects(folder, {r: n for r, n in reasons.items() if r not in DUPLICATES}),
        duplicate_pairs(folder, [reason for reason in DUPLICATES if reason in reasons]),
    )


def stage_of(reason: str) -> str:
    """Who gives a reason: the kind of a step, `reading`, `rendering`, `replay`."""
    return _STAGE_OF.get(reason, "own")


def token_lengths(folder: Path) -> Lengths:
    """Tokens of every training sequence, packed or not."""
    whole, learned = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in TokenParts(str(folder)).batches():
        starts = np.flatnonzero(pc.list_flatten(batch["positions"]).to_numpy() == 0)
        is_learned = pc.list_flatten(batch["labels"]).to_numpy() != IGNORED
        if len(starts):
            whole.append(np.diff([*starts, len(is_learned)]))
            learned.append(np.add.reduceat(is_learned.astype(np.int64), starts))
    return Lengths(np.concatenate(whole), np.concatenate(learned))


def first_rejects(folder: Path, reasons: Mapping[str, int]) -> dict[str, list[dict[str, Any]]]:
    """The first rows of each reason, of which there are as many as `reasons` says."""
    left = {reason: min(SAMPLES, count) for reason, count in reasons.items()}
    found: dict[str, list[dict[str, Any]]] = {reason: [] for reason in reasons}
    for batch in batches_of(folder / "quarantine"):
        for reason in [reason for reason, count in left.items() if count > 0]:
            rows = batch.filter(pc.equal(batch["rejected_by"], reason)).slice(0, left[reason])
            found[reason] += rows.to_pylist()
            left[reason] -= rows.num_rows
        if not any(left.values()):
            break
    return found


def duplicate_pairs(folder: Path, reasons: Collection[str]) -> list[Pair]:
    """The first duplicates of each reason, with what is kept in their stead."""
    rejected = list(_first_duplicates(folder, reasons))
    wanted = {original for original, _ in rejected}
    kept = rows_by_id(folder / "quarantine", wanted) | rows_by_id(folder / "rows", wanted)
    return [Pair(row, kept[original]) for original, row in rejected if original in kept]


def _first_duplicates(
    folder: Path, reasons: Collection[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    found: Counter[str] = Counter()
    for batch in batches_of(folder / "quarantine") if reasons else ():
        is_one = pc.is_in(batch["rejected_by"], value_set=pa.array(reasons, pa.string()))
        for row in batch.filter(is_one).to_pylist():
            match = NOTED.match(row["note"] or "")
            if match is not None and found[row["rejected_by"]] < PAIRS:
                found[row["rejected_by"]] += 1
                yield match[1], row
        if all(found[reason] == PAIRS for reason in reasons):
            return
