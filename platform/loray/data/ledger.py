"""The driver's account of a corpus: some bytes a row, where the rows themselves are large.

What depends on the whole corpus is decided on it: duplicates, the share of replay, packing. Rows
are known by their id as a 64-bit number; sequences by their row and their number within it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.ids import row_numbers
from loray.data.sources.rows import Block

BY_ROW = ("id", "block", "suite", "split", "rejected_by", "size", "num_targets", "lengths")
"""What the account holds of each row."""
NARROW = (
    "id", "line", "block", "suite", "split", "changed_by", "rejected_by", "seconds", "found",
    "num_targets", "unread", "absent", "size",
)  # fmt: skip
"""Columns that the account is made from; `input_ids` is there by its lengths only."""
TALLY = ["block", "line", "unread", "absent"]
"""What a tally row says."""
COMPARED_BY = ("digest_", "bands_")
"""How columns begin that duplicates are found by; they are no part of the account."""


@dataclass
class Sequences:
    """Token sequences of the training split; arrays of one length, ordered by row and number."""

    row: np.ndarray
    """Index of the row in the ledger."""
    number: np.ndarray
    """Which of its row's sequences it is."""
    length: np.ndarray
    num_targets: np.ndarray
    is_used: np.ndarray
    """False once replay leaves it out."""
    place: np.ndarray
    """Rank among all training sequences; -1 where unused."""
    pack: np.ndarray
    """Number of the training sequence that it is packed into; -1 where unused."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def num_placed(self) -> int:
        """How many have a place among the training sequences."""
        return int(np.count_nonzero(self.place >= 0))


@dataclass
class Ledger:
    """What is known of every row; arrays of one length, ordered by id."""

    ids: np.ndarray
    """uint64."""
    label: np.ndarray
    """`sources.0`, ..., `replay`."""
    suite: np.ndarray
    split: np.ndarray
    """None where the row could not be read."""
    rejected_by: np.ndarray
    """Reason, or None for a row that is kept."""
    size: np.ndarray
    """Of a row rejected for its size, as what rejects it counts; 0 for other rows."""
    original: np.ndarray
    """The row that is kept in the stead of a duplicate, by its index; -1 for other rows."""
    similarity: np.ndarray
    """Of a near duplicate and the row that is kept in its stead; NaN for other rows."""
    first_line: np.ndarray
    """By block: how many lines of its file come before it."""
    sequences: Sequences
    changed_by: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    """Worker seconds by step."""
    found: Counter[str] = field(default_factory=Counter)
    """Values replaced, by step and kind: `pii.email`."""
    unread: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns that were there and that no field of the spec names, by label; sorted."""
    absent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns that a field names and that no row had, by label; sorted."""

    @property
    def is_kept(self) -> np.ndarray:
        """Which rows no step rejected."""
        return np.array([reason is None for reason in self.rejected_by], dtype=bool)

    def in_training(self, suite: str) -> np.ndarray:
        """Which rows of a suite are kept and in the training split."""
        return np.asarray(self.is_kept & (self.split == "train") & (self.suite == suite))


def narrow(table: pa.Table) -> pa.Table:
    """A batch without what is large; with what duplicates are found by."""
    compared = [name for name in table.schema.names if name.startswith(COMPARED_BY)]
    inner = pc.list_value_length(pc.list_flatten(table["input_ids"]))
    lengths = _like(table["num_targets"], inner)
    return table.select([*NARROW, *compared]).append_column("lengths", lengths)


def make_ledger(tables: Iterable[pa.Table], blocks: list[Block]) -> Ledger:
    """The account of all batches, whatever their order.

    What a batch only adds to is added up as it comes; of the rest, one column is copied at a time.
    """
    sums = {name: Counter[str]() for name in ("changed_by", "seconds", "found")}
    rows: list[pa.Table] = []
    tallies: list[pa.Table] = []
    for table in tables:
        sums["changed_by"].update(pc.list_flatten(table["changed_by"]).to_pylist())
        for name in ("seconds", "found"):
            sums[name].update(_sums(table[name]))
        is_row = pc.is_valid(table["id"])
        tallies.append(table.select(TALLY).filter(pc.invert(is_row)))
        rows.append(table.select(BY_ROW).filter(is_row))
    return _ledger_of(pa.concat_tables(rows), sums, pa.concat_tables(tallies), blocks)


def _ledger_of(
    rows: pa.Table, sums: dict[str, Counter[str]], tallies: pa.Table, blocks: list[Block]
) -> Ledger:
    ids = row_numbers(rows["id"])
    order = np.argsort(ids, kind="stable")
    labels = np.array([block.file.label for block in blocks], dtype=object)
    return Ledger(
        ids=ids[order],
        label=labels[rows["block"].to_numpy()[order]],
        suite=_objects(rows["suite"])[order],
        split=_objects(rows["split"])[order],
        rejected_by=_objects(rows["rejected_by"])[order],
        size=pc.fill_null(rows["size"], 0).to_numpy()[order],
        original=np.full(len(ids), -1, dtype=np.int64),
        similarity=np.full(len(ids), np.nan, dtype=np.float32),
        first_line=_first_lines(tallies, blocks),
        unread=_columns(tallies, blocks, "unread", set.union),
        absent=_columns(tallies, blocks, "absent", set.intersection),
        sequences=_sequences(rows.select(["lengths", "num_targets"]).take(pa.array(order))),
        **sums,
    )


def _like(lists: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.Array:
    """`values` in lists of the same lengths as `lists`."""
    lengths = pc.list_value_length(lists).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values.combine_chunks())


def _objects(column: pa.ChunkedArray) -> np.ndarray:
    """Texts, of which equal ones are one object."""
    coded = column.combine_chunks().dictionary_encode()
    texts = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return np.asarray(texts[pc.fill_null(coded.indices, len(texts) - 1).to_numpy()])


def _first_lines(tallies: pa.Table, blocks: list[Block]) -> np.ndarray:
    lines = np.zeros(len(blocks), dtype=np.int64)
    lines[tallies["block"].to_numpy()] = tallies["line"].to_numpy()
    first = np.zeros(len(blocks), dtype=np.int64)
    for before, block in pairwise(blocks):
        if before.file is block.file:
            first[block.number] = first[before.number] + lines[before.number]
    return first


def _columns(
    tallies: pa.Table,
    blocks: list[Block],
    name: str,
    join: Callable[[set[str], set[str]], set[str]],
) -> dict[str, list[str]]:
    """Names that tallies have under `name`, those of a source's blocks joined."""
    found: dict[str, set[str]] = {}
    for tally in tallies.select(["block", name]).to_pylist():
        label, names = blocks[tally["block"]].file.label, set(tally[name] or ())
        found[label] = join(found[label], names) if label in found else names
    return {label: sorted(names) for label, names in found.items() if names}


def _sequences(rows: pa.Table) -> Sequences:
    counts = pc.list_value_length(rows["lengths"]).to_numpy()
    total = int(counts.sum())
    starts = np.cumsum(counts) - counts
    return Sequences(
        row=np.repeat(np.arange(len(counts)), counts),
        number=np.arange(total) - np.repeat(starts, counts),
        length=pc.list_flatten(rows["lengths"]).to_numpy().astype(np.int64),
        num_targets=pc.list_flatten(rows["num_targets"]).to_numpy().astype(np.int64),
        is_used=np.ones(total, dtype=bool),
        place=np.full(total, -1, dtype=np.int64),
        pack=np.full(total, -1, dtype=np.int64),
    )


def _sums(column: pa.ChunkedArray) -> Counter[str]:
    """By name, the sum of all measures."""
    sums: Counter[str] = Counter()
    for entry in chain.from_iterable(entries or [] for entries in column.to_pylist()):
        sums[entry["name"]] += entry["value"]
    return sums
