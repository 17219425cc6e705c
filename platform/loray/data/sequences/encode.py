"""Rows to token sequences: render, mask, check the length; raw text is cut into pieces.

Columns added, each a list with one entry for each of a row's sequences (a chat has one as a rule,
raw text one a piece); only rows of the training split have any:

    input_ids: list<list<int32>>
    labels: list<list<int32>>       the token, or -100 where nothing is learned
    num_targets: list<int32>        labels that are learned
    num_ends: list<int32>           end tokens that must be among them
    texts: list<string>             pieces of raw text, of rows that are held out

A row that is too long is rejected, or its longest question loses its start, as the spec says.
A row of several answers has several sequences where the chat template writes earlier answers
differently once others follow (`loray.models.rendering`). `changed_by` notes such rows as
`one_answer_each`, and as `template_trim` those of which the template takes white space from the
ends of a turn.
The first label of a sequence is never learned: once sequences are packed, the token before it
belongs to another row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from loray.data.batch import (
    TURNS,
    is_in,
    note_change,
    put,
    put_measures,
    reject,
    spent,
    turn_lists,
)
from loray.data.sequences.cut import cut_text
from loray.data.sources.decoding import is_blank
from loray.data.split import add_split
from loray.errors import ModelError
from loray.models.chat import Lesson, encode_lesson, load_tokenizer
from loray.models.markup import markup_of
from loray.spec.data import ChatSpec, SequenceSpec, SplitSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
SEQUENCES = pa.list_(pa.list_(pa.int32()))
COUNTS = pa.list_(pa.int32())
CHANGES = ("one_answer_each", "template_trim")
"""What rendering may do to a row, as `changed_by` notes it."""


@dataclass(frozen=True)
class Encoder:
    """The last stage of a batch: its rows' splits and token sequences."""

    tokenizer_path: str
    revision: str | None
    chat: ChatSpec
    sequence: SequenceSpec
    split: SplitSpec
    seed: int

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The batch with its splits and sequences; what does not fit is rejected."""
        seconds: dict[str, float] = {}
        with spent("encode", seconds):
            batch = add_split(batch, split=self.split, seed=self.seed)
            tokenizer = _tokenizer_of(self.tokenizer_path, self.revision)
            rows = zip(
                turn_lists(batch["turns"]), batch["split"].to_pylist(), is_in(batch), strict=True
            )
            found = [
                self._encode(turns, split, tokenizer) if alive and turns else _Sequences()
                for turns, split, alive in rows
            ]
            batch = _put_cut_turns(batch, [row.cut_turns for row in found])
            for name in CHANGES:
                batch = note_change(batch, name, [name in row.changes for row in found])
            batch = reject(
                batch,
                [row.reason for row in found],
                [row.note for row in found],
                [row.size for row in found],
            )
            batch = _put_sequences(batch, found)
        return put_measures(batch, "seconds", seconds)

    def _encode(
        self, turns: list[dict[str, str]], split: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> "_Sequences":
        if turns[0]["role"] == "text":
            return self._encode_text(turns[0]["content"], split, tokenizer)
        cut_turns = None
        try:
            lesson = encode_lesson(turns, tokenizer, self.chat)
            if _longest(lesson) > self.sequence.max_tokens:
                cut_turns = self._cut(turns, lesson, tokenizer)
                if cut_turns is None:
                    return _Sequences(reason="too_long", size=_longest(lesson))
                lesson = encode_lesson(cut_turns, tokenizer, self.chat)
        except ModelError as error:
            return _Sequences(reason="chat_template", note=str(error))
        parts = {"one_answer_each": len(lesson.sequences) > 1, "template_trim": lesson.is_trimmed}
        changes = tuple(name for name, is_so in parts.items() if is_so)
        if split != "train":
            return _Sequences(cut_turns=cut_turns, changes=changes)
        return _Sequences(
            [encoded.input_ids for encoded in lesson.sequences],
            [_labels(encoded.input_ids, encoded.target_mask) for encoded in lesson.sequences],
            lesson.num_answers,
            cut_turns=cut_turns,
            changes=changes,
        )

    def _cut(
        self, turns: list[dict[str, str]], lesson: Lesson, tokenizer: "PreTrainedTokenizerFast"
    ) -> list[dict[str, str]] | None:
        """The turns with the longest question cut at its start until they fit; None if none do."""
        questions = [at for at, turn in enumerate(turns) if turn["role"] == "user"]
        if self.sequence.too_long == "reject" or not questions:
            return None
        longest = max(questions, key=lambda at: len(turns[at]["content"]))
        cut = [dict(turn) for turn in turns]
        excess = _longest(lesson) - self.sequence.max_tokens
        while excess > 0:
            content = cut[longest]["content"]
            starts = markup_of(tokenizer).plain(content).starts
            if len(starts) <= excess:
                return None
            rest = content[max(starts[excess], 1) :]
            if is_blank(rest):
                return None
            cut[longest]["content"] = rest
            excess = _longest(encode_lesson(cut, tokenizer, self.chat)) - self.sequence.max_tokens
        return cut

    def _encode_text(
        self, text: str, split: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> "_Sequences":
        pieces = cut_text(text, markup_of(tokenizer), self.sequence.max_tokens)
        if split != "train":
            return _Sequences(texts=[piece.text for piece in pieces])
        return _Sequences(
            [piece.input_ids for piece in pieces],
            [_labels(piece.input_ids, [True]) for piece in pieces],
            [int(piece.is_last) for piece in pieces],
        )


@dataclass
class _Sequences:
    """What becomes of one row."""

    input_ids: list[list[int]] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    num_ends: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    cut_turns: list[dict[str, str]] | None = None
    """The turns as they were cut to fit."""
    changes: tuple[str, ...] = ()
    """Which of `CHANGES` it went through."""
    reason: str | None = None
    note: str | None = None
    size: int | None = None
    """Tokens of its longest sequence, where that is too long."""


@lru_cache(maxsize=1)
def _tokenizer_of(path: str, revision: str | None) -> "PreTrainedTokenizerFast":
    """One for each worker process, however many batches it takes."""
    return load_tokenizer(path, revision)


def _longest(lesson: Lesson) -> int:
    return max(len(encoded.input_ids) for encoded in lesson.sequences)


def _labels(input_ids: Sequence[int], is_target: Sequence[bool]) -> np.ndarray:
    """The tokens that are learned, and `IGNORED` for the others; one flag stands for all."""
    labels = np.where(is_target, np.asarray(input_ids, dtype=np.int32), np.int32(IGNORED))
    labels[0] = IGNORED
    return labels


def _put_cut_turns(batch: pa.Table, cut_turns: list[list[dict[str, str]] | None]) -> pa.Table:
    """Put turns that were cut in the place of the whole ones, and note it."""
    if not any(cut_turns):
        return batch
    turns = zip(cut_turns, batch["turns"].to_pylist(), strict=True)
    batch = put(batch, "turns", pa.array([cut or whole for cut, whole in turns], TURNS))
    return note_change(batch, "cut_prompt", [cut is not None for cut in cut_turns])


def _put_sequences(batch: pa.Table, rows: list[_Sequences]) -> pa.Table:
    targets = [[np.count_nonzero(ids != IGNORED) for ids in row.labels] for row in rows]
    batch = put(batch, "input_ids", _nested([row.input_ids for row in rows]))
    batch = put(batch, "labels", _nested([row.labels for row in rows]))
    batch = put(batch, "num_targets", pa.array(targets, COUNTS))
    batch = put(batch, "num_ends", pa.array([row.num_ends for row in rows], COUNTS))
    return put(batch, "texts", pa.array([row.texts for row in rows], pa.list_(pa.string())))


def _nested(rows: Sequence[Sequence[Sequence[int] | np.ndarray]]) -> pa.Array:
    """The lists of lists of `rows`; through numpy, which is several times as fast."""
    sequences = [sequence for row in rows for sequence in row]
    flat = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
    values = pa.array(np.concatenate(flat) if flat else np.zeros(0, np.int32), pa.int32())
    inner = pa.ListArray.from_arrays(_offsets(sequences), values)
    return pa.ListArray.from_arrays(_offsets(rows), inner).cast(SEQUENCES)


def _offsets(lists: Sequence[Any]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(item) for item in lists])]).astype(np.int32)
