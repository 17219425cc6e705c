"""Which sequences each worker sees at each step, and their tensors.

The order is a pure function of (number of sequences, seed): one endless line of epochs, each a
permutation. Step `s` takes the next `global_size` of the line, whatever the number of workers, so
the step number is the whole data cursor and a resumed run continues where it stopped.

Shapes: `B` sequences of a micro-batch, `T` tokens of the longest of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from loray.errors import DatasetError

IGNORED = -100
"""Label of a position where nothing is learned, as in `torch.nn.functional.cross_entropy`."""


@dataclass(frozen=True)
class Batch:
    """One worker's micro-batch."""

    input_ids: torch.Tensor
    """(B, T) int64."""
    labels: torch.Tensor
    """(B, T) int64; the token at each position, or `IGNORED`. Shifted by the loss."""
    positions: torch.Tensor
    """(B, T) int64; restart at 0 with every packed row and with the padding."""
    num_tokens: int
    """Tokens that are not padding."""

    @property
    def num_targets(self) -> int:
        """Tokens that the loss counts."""
        return int((self.labels[:, 1:] != IGNORED).sum())

    def to(self, device: str) -> "Batch":
        """The same batch on another device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            labels=self.labels.to(device),
            positions=self.positions.to(device),
        )


class TokenFile:
    """The training sequences of a dataset, memory-mapped: only touched pages use memory."""

    def __init__(self, path: Path) -> None:
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        sizes = [self._reader.get_batch(i).num_rows for i in range(self._reader.num_record_batches)]
        self._starts = np.cumsum([0, *sizes])
        if len(self) == 0:
            raise DatasetError(f"{path} holds no training sequence; look into the quarantine")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def sequence(self, index: int) -> dict[str, np.ndarray]:
        """`input_ids`, `labels` and `positions` of one sequence, int64, of equal length."""
        block = int(np.searchsorted(self._starts, index, side="right")) - 1
        row = index - int(self._starts[block])
        batch = self._reader.get_batch(block)
        return {
            name: batch.column(name)[row].values.to_numpy().astype(np.int64)
            for name in ("input_ids", "labels", "positions")
        }


def sequence_line(num_sequences: int, *, seed: int, start: int, stop: int) -> list[int]:
    """Positions `start` to `stop` of the endless line of shuffled epochs."""
    indices: list[int] = []
    for epoch in range(start // num_sequences, (stop - 1) // num_sequences + 1):
        order = np.random.default_rng([seed, epoch]).permutation(num_sequences)
        first = epoch * num_sequences
        indices += order[max(start - first, 0) : stop - first].tolist()
    return indices


def micro_batches(
    tokens: TokenFile, *, step: int, seed: int, sizes: "BatchSizes", worker: int
) -> Iterator[Batch]:
    """The micro-batches of one worker in one step (`step` counts from 0)."""
    start = step * sizes.global_size
    line = sequence_line(len(tokens), seed=seed, start=start, stop=start + sizes.global_size)
    per_pass = sizes.micro_size * sizes.workers
    for first in range(0, sizes.global_size, per_pass):
        mine = first + worker * sizes.micro_size
        yield collate([tokens.sequence(i) for i in line[mine : mine + sizes.micro_size]])


@dataclass(frozen=True)
class BatchSizes:
    """How a step's sequences are dealt out."""

    global_size: int
    micro_size: int
    workers: int


def collate(sequences: list[dict[str, np.ndarray]]) -> Batch:
    """Pad to the longest; padding is a packed row of its own that nothing is learned from."""
    width = max(len(s["input_ids"]) for s in sequences)
    shape = (len(sequences), width)
    ids = np.zeros(shape, np.int64)
    labels = np.full(shape, IGNORED, np.int64)
    positions = np.zeros(shape, np.int64)
    for row, sequence in enumerate(sequences):
        length = len(sequence["input_ids"])
        ids[row, :length] = sequence["input_ids"]
        labels[row, :length] = sequence["labels"]
        positions[row, :length] = sequence["positions"]
        positions[row, length:] = np.arange(width - length)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(labels),
        torch.from_numpy(positions),
        num_tokens=sum(len(s["input_ids"]) for s in sequences),
    )
