"""Rows as the model sees them: of a dataset, or of its sources while there is none."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.artifacts.tokens import TokenParts
from loray.data.batch import ROWS
from loray.data.review.changes import Trace, run_traced
from loray.data.review.folder import batches_of, rows_by_id
from loray.data.review.spans import Span, Speller
from loray.data.sequences.encode import Encoder
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import SourceFile, find_files
from loray.data.split import split_of
from loray.data.stages import absolute_path, encoder_of, stages_of
from loray.data.steps.chain import Chain
from loray.errors import DatasetError
from loray.models.chat import load_tokenizer
from loray.spec.data import DataSpec, SplitSpec
from loray.spec.run import RunSpec

READ_PER_ROW = 8
"""Rows of a source that are read for each one to show, since some are in other splits."""
NOTHING_HELD_OUT = SplitSpec(validation=0.0, test=0.0)


class Place(NamedTuple):
    """Where a sequence is among those of training."""

    pack: int
    number: int
    """1-based, among the sequences of its pack."""
    num_in_pack: int


@dataclass(frozen=True)
class Shown:
    """A sequence to show, or a row that gives none."""

    row: Mapping[str, Any]
    """As the dataset has it: `id`, `source`, `line`, `split`, `turns`, `changed_by`, ..."""
    spans: tuple[Span, ...] = ()
    num_tokens: int = 0
    num_learned: int = 0
    place: Place | None = None
    """None for what is not trained on."""


@dataclass(frozen=True)
class Viewer:
    """What makes text of a spec's rows."""

    encoder: Encoder
    speller: Speller

    def sequence(
        self,
        row: Mapping[str, Any],
        ids: Sequence[int],
        labels: Sequence[int],
        place: Place | None = None,
    ) -> Shown:
        """One sequence of a row."""
        spans = tuple(self.speller.spans(ids, labels))
        num_learned = sum(label >= 0 for label in labels)
        return Shown(row, spans, len(ids), num_learned, place)

    def encoded(self, rows: Sequence[dict[str, Any]]) -> Iterator[Shown]:
        """Rows of any split, encoded as those of training are."""
        encoder = replace(self.encoder, split=NOTHING_HELD_OUT)
        batch = encoder(pa.Table.from_pylist(list(rows), ROWS))
        names = ["input_ids", "labels", "rejected_by", "note", "changed_by"]
        found = batch.select(names).to_pylist()
        for row, new in zip(rows, found, strict=True):
            now = {**row, **{name: new[name] for name in names[2:]}}
            if new["rejected_by"] is not None:
                yield Shown(now)
            for ids, labels in zip(new["input_ids"], new["labels"], strict=True):
                yield self.sequence(now, ids, labels)


def viewer_of(spec: RunSpec) -> Viewer:
    """What renders and spells the rows of `spec`.

    Raises:
        ModelError: the tokenizer cannot be used.
    """
    tokenizer = load_tokenizer(absolute_path(spec.base_model.path), spec.base_model.revision)
    return Viewer(encoder_of(spec), Speller(tokenizer, spec.data.chat))


def chain_for(spec: RunSpec) -> Chain:
    """The steps of `spec`; what they look for is read, so it may take a while."""
    tokenizer = load_tokenizer(absolute_path(spec.base_model.path), spec.base_model.revision)
    return stages_of(spec, tokenizer)[0]


def preview_split(folder: Path, split: str, num_rows: int, viewer: Viewer) -> list[Shown]:
    """The first sequences of a split of a dataset.

    Those of training come as it reads them, pack by pack: a sample, since packs are
    in a seeded order. Others come in order of id.
    """
    if split == "train":
        return _named(folder, islice(_packed(folder), num_rows), viewer)
    return list(islice(viewer.encoded(list(islice(_rows_in(folder, split), num_rows))), num_rows))


def preview_row(folder: Path, row_id: str, viewer: Viewer) -> list[Shown]:
    """All sequences of one row of a dataset.

    Raises:
        DatasetError: the dataset keeps no such row.
    """
    row = rows_by_id(folder / "rows", [row_id]).get(row_id)
    if row is None:
        gone = rows_by_id(folder / "quarantine", [row_id]).get(row_id)
        raise DatasetError(
            f"row {row_id} is in the quarantine, rejected by {gone['rejected_by']}; "
            f"`loray data quarantine show SPEC --id {row_id}` shows it"
            if gone
            else f"the dataset holds no row {row_id}; wanted an id as `loray data preview` shows it"
        )
    if row["split"] == "train":
        return _named(folder, _packed(folder, row_id), viewer)
    return list(viewer.encoded([row]))


@dataclass
class Preview:
    """The first rows of sources."""

    shown: list[Shown] = field(default_factory=list)
    trace: Trace = field(default_factory=Trace)
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Rows between those shown that are in another split, by split."""


def preview_sources(
    data: DataSpec, split: str, num_rows: int, chain: Chain, viewer: Viewer
) -> Preview:
    """The first rows of the files of each source, put through the steps here; rejected ones too.

    What depends on the whole corpus is left out: duplicates, the share of replay, packing.

    Raises:
        SourceError: a file is missing or cannot be read, or all are empty.
    """
    files: dict[str, list[SourceFile]] = {}
    found = find_files(data)
    for file in found:
        if file.size:
            files.setdefault(file.label, []).append(file)
    if not files:
        cut_into_blocks(found)  # which says that they are empty
    quota = -(-num_rows // max(len(files), 1))
    preview = Preview()
    for label in sorted(files):
        wanted = len(preview.shown) + quota
        some = files[label][:quota]
        for at, file in enumerate(some):
            share = -(-(wanted - len(preview.shown)) // (len(some) - at))
            preview.shown += islice(_first_of(file, split, share, (chain, viewer), preview), share)
    del preview.shown[num_rows:]
    return preview


def _first_of(
    file: SourceFile, split: str, count: int, using: tuple[Chain, Viewer], preview: Preview
) -> Iterator[Shown]:
    """The first `count` sequences of a file or more; what is passed over is counted."""
    chain, viewer = using
    for rows in _first_rows(file, count * READ_PER_ROW):
        batch, trace = run_traced(rows, chain)
        preview.trace.changes |= trace.changes
        preview.trace.rejected_in |= trace.rejected_in
        for row in batch.to_pylist():
            placed = _with_split(row, viewer.encoder)
            if placed["split"] not in (split, None):
                preview.elsewhere[placed["split"]] += 1
            elif placed["rejected_by"]:
                yield Shown(placed)
            else:
                yield from viewer.encoded([placed])


def _first_rows(file: SourceFile, count: int) -> Iterator[pa.Table]:
    """Up to `count` rows of the first block of a file."""
    for block in cut_into_blocks([file])[:1]:
        for table in read_block(block):
            rows = table.filter(pc.is_valid(table["id"])).slice(0, count)
            yield rows
            count -= rows.num_rows
            if count <= 0:
                return


def _with_split(row: dict[str, Any], encoder: Encoder) -> dict[str, Any]:
    group = row["group"]
    split = None if group is None else split_of(group, encoder.split, encoder.seed)
    return {**row, "split": split}


class _Packed(NamedTuple):
    """A sequence as training reads it."""

    row_id: str
    ids: list[int]
    labels: list[int]
    place: Place


def _packed(folder: Path, row_id: str | None = None) -> Iterator[_Packed]:
    """The training sequences, or those of one row."""
    first = 0
    for batch in TokenParts(str(folder / "tokens")).batches():
        for at in _packs_with(batch["row_ids"], row_id):
            yield from _sequences_of(batch, at, first + at, row_id)
        first += batch.num_rows


def _packs_with(row_ids: pa.ListArray, row_id: str | None) -> Sequence[int]:
    if row_id is None:
        return range(len(row_ids))
    is_it = pc.equal(pc.list_flatten(row_ids), row_id)
    found: list[int] = pc.unique(pc.list_parent_indices(row_ids).filter(is_it)).to_pylist()
    return found


def _sequences_of(
    batch: pa.RecordBatch, at: int, pack: int, row_id: str | None
) -> Iterator[_Packed]:
    names = batch["row_ids"][at].as_py()
    ids, labels, positions = (
        np.asarray(batch[name][at].values) for name in ("input_ids", "labels", "positions")
    )
    edges = [*np.flatnonzero(positions == 0).tolist(), len(positions)]
    for number, name in enumerate(names):
        if row_id in (None, name):
            part = slice(edges[number], edges[number + 1])
            place = Place(pack, number + 1, len(names))
            yield _Packed(name, ids[part].tolist(), labels[part].tolist(), place)


def _named(folder: Path, sequences: Iterator[_Packed], viewer: Viewer) -> list[Shown]:
    """Sequences with the rows that they come from."""
    found = list(sequences)
    rows = rows_by_id(folder / "rows", {sequence.row_id for sequence in found})
    return [viewer.sequence(rows[s.row_id], s.ids, s.labels, s.place) for s in found]


def _rows_in(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    for batch in batches_of(folder / "rows"):
        yield from batch.filter(pc.equal(batch["split"], split)).to_pylist()
