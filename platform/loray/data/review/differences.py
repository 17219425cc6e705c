"""Two datasets: which rows one has and the other has not, and what differs of those in both.

Rows are known by their id, which is content and place in the source. A row whose id is in one only
is looked for by its text in the same file (it moved: a line was put before it), then by its file
and line (its text was changed); what is left was added or removed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from loray.data.review.folder import batches_of, rows_by_id

Kind: TypeAlias = Literal["added", "removed", "moved", "text", "split", "reason"]
KINDS: dict[Kind, str] = {
    "added": "rows of the second only",
    "removed": "rows of the first only",
    "moved": "rows that stand elsewhere in their file",
    "text": "rows whose text changed, in the source or by the steps",
    "split": "rows that changed their split",
    "reason": "rows kept in one and rejected in the other, or rejected for another reason",
}
KEPT = "kept"


class Entry(NamedTuple):
    """What is remembered of a row."""

    id: str
    source: str
    line: int
    split: str | None
    state: str
    """`kept`, or the reason of its rejection."""
    text: bytes
    """Digest of its turns, or of the raw line."""


class Difference(NamedTuple):
    """A row that differs, as it is in the first and in the second dataset."""

    kind: Kind
    before: Entry | None
    after: Entry | None


@dataclass
class Differences:
    """How many rows differ in each way, and the first of each."""

    num_same: int = 0
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    examples: dict[Kind, list[Difference]] = field(default_factory=lambda: {k: [] for k in KINDS})


def find_differences(first: Path, second: Path, num_examples: int) -> Differences:
    """What differs between the datasets in two folders.

    Raises:
        ArtifactError: a file is not there or not whole.
    """
    old, new = (dict(_entries(folder)) for folder in (first, second))
    found = Differences()
    for before, after in _paired(old, new):
        kinds = list(_kinds(before, after))
        found.num_same += not kinds
        for kind in kinds:
            found.counts[kind] += 1
            if len(found.examples[kind]) < num_examples:
                found.examples[kind].append(Difference(kind, before, after))
    return found


def texts_of(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    """The texts of some rows, kept or rejected."""
    wanted = list(ids)
    rows = rows_by_id(folder / "quarantine", wanted) | rows_by_id(folder / "rows", wanted)
    return {row_id: written(row) for row_id, row in rows.items()}


def written(row: Mapping[str, Any]) -> str:
    """A row's turns as text; the raw line of one that has none."""
    if row["turns"] is None:
        return str(row.get("raw") or "")
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in row["turns"])


def _entries(folder: Path) -> Iterator[tuple[str, Entry]]:
    names = ["id", "source", "line", "split"]
    for where, more in (("rows", []), ("quarantine", ["rejected_by", "raw"])):
        for batch in batches_of(folder / where, [*names, "turns", *more]):
            columns = [batch[name].to_pylist() for name in names]
            states = batch["rejected_by"].to_pylist() if more else [KEPT] * batch.num_rows
            for values in zip(*columns, states, _digests(batch), strict=True):
                entry = Entry._make(values)
                yield entry.id, entry


def _digests(batch: pa.Table) -> Iterator[bytes]:
    """Of each row's turns, or its raw line; columns at a time, since rows as objects are slow."""
    turns = batch["turns"].combine_chunks()
    flat = turns.flatten()
    roles, contents = (flat.field(name).to_pylist() for name in ("role", "content"))
    raws = batch["raw"].to_pylist() if "raw" in batch.schema.names else [None] * batch.num_rows
    start = 0
    for count, raw in zip(pc.list_value_length(turns).to_pylist(), raws, strict=True):
        found = blake2b((raw or "").encode(), digest_size=8)
        for at in range(start, start + (count or 0)):
            found.update(f"{roles[at]}\0{contents[at]}\0".encode())
        start += count or 0
        yield found.digest()


def _paired(
    old: Mapping[str, Entry], new: Mapping[str, Entry]
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Every row of either, with what it is in the other; in order of the first's ids."""
    for row_id in sorted(old.keys() & new.keys()):
        yield old[row_id], new[row_id]
    gone = [old[row_id] for row_id in sorted(old.keys() - new.keys())]
    come = {row_id: new[row_id] for row_id in sorted(new.keys() - old.keys())}
    for place_of in (_same_text, _same_place):
        places: dict[tuple[object, ...], list[Entry]] = {}
        for entry in come.values():
            places.setdefault(place_of(entry), []).append(entry)
        left = []
        for entry in gone:
            if partners := places.get(place_of(entry)):
                partner = partners.pop(0)
                del come[partner.id]
                yield entry, partner
            else:
                left.append(entry)
        gone = left
    yield from ((entry, None) for entry in gone)
    yield from ((None, entry) for entry in come.values())


def _same_text(entry: Entry) -> tuple[object, ...]:
    return entry.source, entry.text


def _same_place(entry: Entry) -> tuple[object, ...]:
    return entry.source, entry.line


def _kinds(before: Entry | None, after: Entry | None) -> Iterator[Kind]:
    if before is None:
        yield "added"
    elif after is None:
        yield "removed"
    else:
        if before.id != after.id and before.text == after.text:
            yield "moved"
        if before.text != after.text:
            yield "text"
        if before.split != after.split:
            yield "split"
        if before.state != after.state:
            yield "reason"
