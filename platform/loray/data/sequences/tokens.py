"""Packed training sequences, in files of a bounded size, and the proof that every answer ends."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.artifacts.digests import file_digest
from loray.artifacts.tokens import IDS, TOKENS, Part, write_index
from loray.data.exchange import in_groups
from loray.data.ids import row_numbers
from loray.data.ledger import Ledger
from loray.data.sequences.encode import IGNORED
from loray.errors import DatasetError

BATCH_PACKS = 256


@dataclass(frozen=True)
class Place:
    """Spread a batch into its sequences, each with its place among all."""

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


def write_tokens(
    folder: Path, tables: Iterable[pa.Table], *, end_token_ids: Set[int], part_tokens: int
) -> None:
    """Write packs of sequences, which come in order of their places.

    Args:
        part_tokens: most tokens of a file, unless a single pack has more.

    Raises:
        DatasetError: an answer does not end, or a sequence teaches nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packs = (_packed(table, end_token_ids) for table in _whole_packs(tables))
    parts = [
        _write_part(folder / f"part-{number:05d}.arrow", (table for _, table in tables_of_part))
        for number, tables_of_part in groupby(_by_part(packs, part_tokens), itemgetter(0))
    ]
    write_index(folder, parts)


def _by_part(packs: Iterable[pa.Table], most: int) -> Iterator[tuple[int, pa.Table]]:
    """The packs in pieces, each with the number of the file it goes to."""
    number, used = 0, 0
    for table in packs:
        begin = 0
        for at, length in enumerate(pc.list_value_length(table["input_ids"]).to_pylist()):
            if used and used + length > most:
                if at > begin:
                    yield number, table.slice(begin, at - begin)
                number, used, begin = number + 1, 0, at
            used += length
        yield number, table.slice(begin)


def _write_part(path: Path, packs: Iterable[pa.Table]) -> Part:
    sequences = tokens = 0
    with pa.ipc.new_file(path, TOKENS) as writer:
        for group in in_groups(packs, BATCH_PACKS):
            sequences += group.num_rows
            tokens += pc.sum(pc.list_value_length(group["input_ids"])).as_py()
            # A copy: a slice is written with the padding of the table that it was cut from.
            for batch in group.take(np.arange(group.num_rows)).to_batches():
                writer.write_batch(batch)
    return Part(file=path.name, sequences=sequences, tokens=tokens, sha256=file_digest(path))


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
