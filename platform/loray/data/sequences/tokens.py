"""The token file: packed training sequences, and the proof that every answer in it ends."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.exchange import in_groups
from loray.data.ledger import Ledger, row_numbers
from loray.data.sequences.encode import IGNORED
from loray.errors import DatasetError

IDS = pa.list_(pa.int32())
TOKENS = pa.schema(
    [("input_ids", IDS), ("labels", IDS), ("positions", IDS), ("row_ids", pa.list_(pa.string()))]
)
BATCH_PACKS = 256


@dataclass(frozen=True)
class Place:
    """Spread a batch into its sequences, each with its place in the token file."""

    ids: np.ndarray
    """Of rows that have sequences, sorted."""
    first: np.ndarray
    """By such a row: where its sequences begin in `place` and `pack`."""
    place: np.ndarray
    pack: np.ndarray

    @classmethod
    def of(cls, ledger: Ledger) -> Self:
        """Everything a batch needs from the ledger."""
        rows, first = np.unique(ledger.sequences.row, return_index=True)
        return cls(ledger.ids[rows], first, ledger.sequences.place, ledger.sequences.pack)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One row for each sequence that is used."""
        rows = batch.filter(pc.greater(pc.list_value_length(batch["input_ids"]), 0))
        counts = pc.list_value_length(rows["input_ids"]).to_numpy()
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        first = self.first[np.searchsorted(self.ids, row_numbers(rows["id"]))]
        at = np.repeat(first, counts) + np.arange(counts.sum()) - starts
        spread = pa.table(
            {
                "place": self.place[at],
                "pack": self.pack[at],
                "id": rows["id"].take(pa.array(np.repeat(np.arange(len(counts)), counts))),
                "input_ids": pc.list_flatten(rows["input_ids"]),
                "labels": pc.list_flatten(rows["labels"]),
                "num_ends": pc.list_flatten(rows["num_ends"]),
            }
        )
        return spread.filter(pc.greater_equal(spread["place"], 0))


def write_tokens(path: Path, tables: Iterable[pa.Table], *, end_token_ids: Set[int]) -> None:
    """Write packs of sequences, which come in order of their places.

    Raises:
        DatasetError: an answer does not end, or a sequence teaches nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    packs = (_packed(table, end_token_ids) for table in _whole_packs(tables))
    with pa.ipc.new_file(path, TOKENS) as writer:
        for group in in_groups(packs, BATCH_PACKS):
            for batch in group.to_batches():
                writer.write_batch(batch)


def _whole_packs(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The sequences of `tables` in tables that tear no pack apart."""
    carried: pa.Table | None = None
    for table in tables:
        merged = table if carried is None else pa.concat_tables([carried, table])
        if merged.num_rows == 0:
            continue
        packs = merged["pack"].to_numpy()
        whole = int(np.searchsorted(packs, packs[-1]))
        if whole:
            yield merged.slice(0, whole)
        carried = merged.slice(whole)
    if carried is not None:
        yield carried


def _packed(sequences: pa.Table, end_token_ids: Set[int]) -> pa.Table:
    """One row for each pack: its sequences joined."""
    sequences = sequences.combine_chunks()
    lengths = pc.list_value_length(sequences["input_ids"]).to_numpy().astype(np.int64)
    ids = pc.list_flatten(sequences["input_ids"]).to_numpy()
    labels = pc.list_flatten(sequences["labels"]).to_numpy()
    starts = np.cumsum(lengths) - lengths
    _prove_ends(sequences, labels, starts, end_token_ids)
    positions = np.arange(len(ids)) - np.repeat(starts, lengths)
    packs = sequences["pack"].to_numpy()
    first = np.flatnonzero(np.concatenate([[True], packs[1:] != packs[:-1]]))
    offsets = np.append(starts[first], len(ids))
    row_ids = pa.array(sequences["id"].to_pylist(), pa.string())
    columns = [_lists(values, offsets) for values in (ids, labels, positions)]
    rows = pa.ListArray.from_arrays(
        pa.array(np.append(first, len(packs)), pa.int32()), row_ids, TOKENS.field("row_ids").type
    )
    return pa.Table.from_arrays([*columns, rows], schema=TOKENS)


def _lists(values: np.ndarray, offsets: np.ndarray) -> pa.ListArray:
    items = pa.array(values.astype(np.int32), pa.int32())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, IDS)


def _prove_ends(
    sequences: pa.Table, labels: np.ndarray, starts: np.ndarray, end_token_ids: Set[int]
) -> None:
    """Refuse a sequence that learns nothing, or misses the end token of an answer."""
    wanted = sequences["num_ends"].to_numpy()
    is_target = labels != IGNORED
    last = np.maximum.reduceat(np.where(is_target, np.arange(len(labels)), -1), starts)
    is_end = np.isin(labels, sorted(end_token_ids))
    found = np.add.reduceat(is_end.astype(np.int64), starts)
    ends = is_end[np.maximum(last, 0)]
    is_bad = (last < 0) | (found < wanted) | ((wanted > 0) & ~ends)
    if is_bad.any():
        at = int(np.flatnonzero(is_bad)[0])
        raise DatasetError(
            f"row {sequences['id'][at]} learns {found[at]} end tokens (of {sorted(end_token_ids)}) "
            f"where {wanted[at]} answers must end, the last with one; the chat template does not "
            "end every answer: use another base model, or set data.chat.template: plain"
        )
