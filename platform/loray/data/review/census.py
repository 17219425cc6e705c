"""What a corpus comes to: how many rows, how long they are as the model sees them, how they answer.

All rows are read, up to a bound; some of them, evenly taken, go through the steps and are encoded.
No Ray: this is for the first look, before there is a dataset.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.review.preview import Viewer
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.data.sources.rows import Block
from loray.data.sources.streams import is_compressed
from loray.data.steps.chain import Chain
from loray.spec.data import DataSpec
from loray.spec.sources import CsvSource, ParquetSource

MAX_ROWS = 50_000
"""Rows that are read; of more, how many there are is estimated."""
MAX_BYTES = 256 << 20
"""Bytes of such rows, likewise."""
RATIO = 4.0
"""Text is about so many times as long as it is compressed."""
NUM_SAMPLED = 400
"""Rows that are encoded."""
CHARS_PER_TOKEN = 3.0
"""Where there is no tokenizer: rather too many tokens than too few."""
TURN_TOKENS = 8
"""What a template writes around a turn, where there is no tokenizer."""


@dataclass
class Census:
    """What was counted."""

    num_rows: int = 0
    """Rows that were read, those that cannot be used among them."""
    share_read: float = 1.0
    """Of the corpus, by its blocks."""
    unread: Counter[str] = field(default_factory=Counter)
    """Rows whose text could not be read, by the reason."""
    groups: Counter[str] = field(default_factory=Counter)
    """Rows that can be used, by their group; equal rows are one where no column says more."""
    num_distinct: int = 0
    """Of these, unlike ones."""
    prompts: Counter[str] = field(default_factory=Counter)
    """First questions of the sampled rows."""
    answers: list[str] = field(default_factory=list)
    """Last answers of the sampled rows."""
    num_sampled: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Of the sampled rows, those that a step or the encoder rejected, by the reason."""
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Tokens of each sampled row that is kept."""
    learned: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of these, tokens that are learned."""
    is_counted: bool = True
    """Whether tokens were counted by the tokenizer, not estimated by characters."""

    @property
    def num_usable(self) -> int:
        """Rows of the whole corpus that are likely to be kept, equal ones once."""
        kept = 1 - sum(self.rejected.values()) / max(self.num_sampled, 1)
        return round(self.num_distinct / self.share_read * kept)

    def are_too_long(self, longest: int) -> np.ndarray:
        """Which of the sampled rows have more tokens; none of raw text, which is cut in pieces."""
        return (self.lengths > longest) & bool(self.answers)

    def num_tokens(self, longest: int) -> int:
        """Tokens of all usable rows of at most `longest`."""
        fitting = self.lengths[~self.are_too_long(longest)]
        return round(float(fitting.sum()) / max(len(self.lengths), 1) * self.num_usable)


def take_census(data: DataSpec, chain: Chain | None, viewer: Viewer | None) -> Census:
    """Count the rows of the sources of `data`, and encode some of them.

    Args:
        chain: the steps; None where no tokenizer is at hand, and neither is `viewer`.

    Raises:
        SourceError: a file cannot be read as the spec says.
    """
    census = Census(is_counted=viewer is not None)
    sampled = _sampled(census, list(_tables(data, census)))
    is_grouped = any(source.fields.group is not None for source in data.sources)
    census.num_distinct = census.groups.total() if is_grouped else len(census.groups)
    if sampled is None:
        return census
    census.num_sampled = sampled.num_rows
    kept = sampled if chain is None else chain(sampled)
    _note(census, kept.to_pylist(), viewer)
    return census


def _tables(data: DataSpec, census: Census) -> Iterator[pa.Table]:
    """Rows that can be used, from blocks in a fixed random order."""
    files = [file for file in find_files(data) if file.suite == "task"]
    blocks = cut_into_blocks(files)
    order = random.Random(0).sample(range(len(blocks)), len(blocks))  # noqa: S311 (no secret)
    num_bytes = 0.0
    for visited, at in enumerate(order):
        of_block = 0.0
        for table in read_block(blocks[at]):
            rows = table.filter(pc.is_valid(table["id"]))
            census.num_rows += rows.num_rows
            fault = rows["rejected_by"]
            census.unread.update(fault.drop_null().to_pylist())
            sound = rows.filter(pc.is_null(fault))
            census.groups.update(sound["group"].to_pylist())
            yield sound
            of_block += _text_bytes(sound)
            if _is_enough(census, num_bytes + of_block) and (size := _whole_bytes(blocks[at])):
                census.share_read = (visited + min(of_block / size, 1.0)) / len(blocks)
                return
        num_bytes += of_block
        if _is_enough(census, num_bytes):
            census.share_read = (visited + 1) / len(blocks)
            return


def _is_enough(census: Census, num_bytes: float) -> bool:
    return census.num_rows >= MAX_ROWS or num_bytes >= MAX_BYTES


def _text_bytes(rows: pa.Table) -> float:
    texts = pc.struct_field(pc.list_flatten(rows["turns"]), "content")
    return float(pc.sum(pc.binary_length(texts)).as_py() or 0)


def _whole_bytes(block: Block) -> float:
    """About how much text a block holds that is a file as a whole, of any size; else 0."""
    source, is_packed = block.file.source, is_compressed(block.file.path)
    if isinstance(source, ParquetSource) or not (
        is_packed or block.is_document or isinstance(source, CsvSource)
    ):
        return 0.0
    return float(block.end - block.start) * (RATIO if is_packed else 1.0)


def _sampled(census: Census, tables: Sequence[pa.Table]) -> pa.Table | None:
    if not tables or not census.groups:
        return None
    whole = pa.concat_tables(tables)
    step = max(whole.num_rows // NUM_SAMPLED, 1)
    return whole.take(pa.array(range(0, whole.num_rows, step)[:NUM_SAMPLED], pa.int64()))


def _note(census: Census, rows: Sequence[Mapping[str, Any]], viewer: Viewer | None) -> None:
    lengths: dict[str, int] = {}
    learned: dict[str, int] = {}
    for row in rows:
        if row["rejected_by"] is not None:
            census.rejected[row["rejected_by"]] += 1
            continue
        turns = row["turns"]
        asked = [turn["content"] for turn in turns if turn["role"] == "user"]
        answered = [turn["content"] for turn in turns if turn["role"] == "assistant"]
        census.prompts.update(asked[:1])
        census.answers += answered[-1:]
        if viewer is None:
            lengths[row["id"]] = sum(_tokens(turn["content"]) for turn in turns)
            learned[row["id"]] = sum(map(_tokens, answered)) or lengths[row["id"]]
    alive = [dict(row) for row in rows if row["rejected_by"] is None]
    for shown in viewer.encoded(alive) if viewer is not None and alive else ():
        if shown.row["rejected_by"] is not None:
            census.rejected[shown.row["rejected_by"]] += 1
            continue
        name = shown.row["id"]
        lengths[name] = lengths.get(name, 0) + shown.num_tokens
        learned[name] = learned.get(name, 0) + shown.num_learned
    census.lengths = np.array(list(lengths.values()), np.int64)
    census.learned = np.array(list(learned.values()), np.int64)


def _tokens(text: str) -> int:
    return round(len(text) / CHARS_PER_TOKEN) + TURN_TOKENS
