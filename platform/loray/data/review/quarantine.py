"""The quarantine of a dataset: counted, searched, carried out."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from loray.data.review.folder import batches_of, whole_file

COLUMNS = ("id", "source", "line", "rejected_by", "note", "turns", "raw")


@dataclass(frozen=True)
class Wanted:
    """Which quarantined rows; all where nothing is named."""

    reason: str | None = None
    source: str = "*"
    """Glob over the rows' sources."""
    contains: str | None = None
    """Text that a turn, the raw line or the note holds, in any case."""
    ids: frozenset[str] = frozenset()

    def covers(self, row: dict[str, Any]) -> bool:
        """Whether the row is one of them."""
        return (
            self.reason in (None, row["rejected_by"])
            and (not self.ids or row["id"] in self.ids)
            and fnmatchcase(row["source"], self.source)
            and (self.contains is None or self.contains.casefold() in _words(row).casefold())
        )


def count_rejects(folder: Path, wanted: Wanted) -> Counter[tuple[str, str]]:
    """Rows by their reason and the label of their source (`sources.0`, `replay`)."""
    with_texts = wanted.contains is not None  # texts are most of a quarantine
    rows = find_rejects(folder, wanted, with_texts=with_texts)
    return Counter((row["rejected_by"], label_of(row)) for row in rows)


def find_rejects(
    folder: Path, wanted: Wanted, *, with_texts: bool = True
) -> Iterator[dict[str, Any]]:
    """The rows that are wanted, in order of id."""
    names = [n for n in COLUMNS if with_texts or n not in ("turns", "raw")]
    for batch in batches_of(folder / "quarantine", names):
        chosen = batch
        if wanted.reason is not None:
            chosen = batch.filter(pc.equal(batch["rejected_by"], wanted.reason))
        yield from filter(wanted.covers, chosen.to_pylist())


def export_rejects(folder: Path, wanted: Wanted, path: Path) -> int:
    """Write the rows that are wanted as JSON Lines, all or none; how many they are.

    A line holds `id`, `source`, `line`, `reason`, `note`, and `turns` or `raw`.
    """
    num_rows = 0
    with whole_file(path) as stream:
        for row in find_rejects(folder, wanted):
            stream.write(json.dumps(document_of(row)) + "\n")
            num_rows += 1
    return num_rows


def document_of(row: dict[str, Any]) -> dict[str, Any]:
    """A quarantined row as it is carried out."""
    kept = {name: row[name] for name in ("id", "source", "line")}
    kept |= {"reason": row["rejected_by"], "note": row["note"]}
    text = "raw" if row["turns"] is None else "turns"
    return kept | {text: row[text]}


def label_of(row: dict[str, Any]) -> str:
    """Which source of the spec a row is from."""
    return str(row["source"]).partition("/")[0]


def _words(row: dict[str, Any]) -> str:
    turns = row["turns"] or ()
    texts = [row["note"], row["raw"], *(turn["content"] for turn in turns)]
    return "\n".join(text for text in texts if text is not None)
