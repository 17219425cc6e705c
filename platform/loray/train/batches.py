"""Which sequences each worker sees at each step, and their tensors.

The order is a pure function of (sequences in each part, seed): one endless line of epochs, each a
permutation. Step `s` takes the next `global_size` of the line, whatever the number of workers, so
the step number is the whole data cursor and a resumed run continues where it stopped. All workers
make as many passes; where micro-batches do not go round, some make a spare one over nothing.

Shapes: `B` sequences of a micro-batch, `T` tokens of the longest of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from loray.artifacts.tokens import TokenParts
from loray.errors import DatasetError

IGNORED = -100
"""Label of a position where nothing is learned, as in `torch.nn.functional.cross_entropy`."""
STEPS_AHEAD = 16
"""A remote part is fetched this long before its first step."""


@dataclass(frozen=True)
class Batch:
    """One worker's micro-batch."""

    input_ids: torch.Tensor
    """(B, T) int64."""
    labels: torch.Tensor
    """(B, T) int64; the token at each position, or `IGNORED`. Shifted by the loss."""
    positions: torch.Tensor
    """(B, T) int64; restart at 0 with every packed row, and go on through the padding."""
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


def open_tokens(location: str) -> TokenParts:
    """The training sequences of a dataset, of which there must be some.

    Raises:
        DatasetError: there are none, or they cannot be read.
    """
    tokens = TokenParts(location)
    if len(tokens) == 0:
        raise DatasetError(f"{location} holds no training sequence; look into the quarantine")
    return tokens


def sequence_line(sizes: tuple[int, ...], *, seed: int, start: int, stop: int) -> list[int]:
    """Positions `start` to `stop` of the endless line of shuffled epochs.

    An epoch goes through the parts in an order of its own, and through all sequences of a part
    before the next one; parts are samples of the dataset, so the line is well mixed all the same.

    Args:
        sizes: sequences in each part.
    """
    numbers: list[int] = []
    num_sequences, first = sum(sizes), np.cumsum([0, *sizes])
    for epoch in range(start // num_sequences, (stop - 1) // num_sequences + 1):
        at = epoch * num_sequences  # of the part's first sequence in the line
        for part in _part_order(len(sizes), seed, epoch):
            if at < stop and at + sizes[part] > start:
                order = _row_order(sizes[part], seed, epoch, part)
                numbers += (first[part] + order[max(start - at, 0) : stop - at]).tolist()
            at += sizes[part]
    return numbers


@cache
def _part_order(num_parts: int, seed: int, epoch: int) -> list[int]:
    order = np.random.default_rng([seed, epoch, num_parts, 1]).permutation(num_parts)
    return [int(part) for part in order]


@lru_cache(maxsize=4)
def _row_order(num_rows: int, seed: int, epoch: int, part: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, part]).permutation(num_rows)


def numbers_of_step(tokens: TokenParts, step: int, *, seed: int, sizes: "BatchSizes") -> list[int]:
    """The sequences of a step, of all workers, in order."""
    start = step * sizes.global_size
    return sequence_line(tokens.sizes, seed=seed, start=start, stop=start + sizes.global_size)


def micro_batches(
    tokens: TokenParts, *, step: int, seed: int, sizes: "BatchSizes", worker: int
) -> Iterator[Batch]:
    """The micro-batches of one worker in one step (`step` counts from 0)."""
    line = numbers_of_step(tokens, step, seed=seed, sizes=sizes)
    tokens.expect(numbers_of_step(tokens, step + STEPS_AHEAD, seed=seed, sizes=sizes)[0])
    per_pass = sizes.micro_size * sizes.workers
    for first in range(0, sizes.global_size, per_pass):
        mine = first + worker * sizes.micro_size
        numbers = line[mine : mine + sizes.micro_size]
        yield collate([tokens.sequence(i) for i in numbers]) if numbers else spare_batch()


@dataclass(frozen=True)
class BatchSizes:
    """How a step's sequences are dealt out."""

    global_size: int
    micro_size: int
    workers: int
    """Those that read different sequences; the workers of a pipeline all read the same."""

    @property
    def passes(self) -> int:
        """Micro-batches of each worker in a step, spare ones counted."""
        return -(-self.global_size // (self.micro_size * self.workers))


def spare_batch() -> Batch:
    """A pass of a worker for whom nothing is left: weights that are shared out need it to pass.

    Two tokens of padding, of which nothing is learned.
    """
    nothing = {
        "input_ids": np.zeros(2, np.int64),
        "labels": np.full(2, IGNORED, np.int64),
        "positions": np.arange(2),
    }
    return replace(collate([nothing]), num_tokens=0)


def collate(sequences: list[dict[str, np.ndarray]]) -> Batch:
    """Pad to the longest; nothing is learned from padding, and nothing before it attends to it.

    It goes on with the last row's positions: were it a row of its own, transformers would take
    every sequence to be packed, and make a mask where causal attention needs none.
    """
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
        positions[row, length:] = positions[row, length - 1] + 1 + np.arange(width - length)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(labels),
        torch.from_numpy(positions),
        num_tokens=sum(len(s["input_ids"]) for s in sequences),
    )


def joined(window: Sequence[Batch]) -> Batch:
    """Micro-batches of one size below each other, padded to the longest as `collate` pads."""
    width = max(batch.input_ids.shape[1] for batch in window)
    wide = [_widened(batch, width - batch.input_ids.shape[1]) for batch in window]
    return Batch(
        torch.cat([batch.input_ids for batch in wide]),
        torch.cat([batch.labels for batch in wide]),
        torch.cat([batch.positions for batch in wide]),
        num_tokens=sum(batch.num_tokens for batch in wide),
    )


def _widened(batch: Batch, more: int) -> Batch:
    padding = batch.positions[:, -1:] + 1 + torch.arange(more)
    return replace(
        batch,
        input_ids=F.pad(batch.input_ids, (0, more)),
        labels=F.pad(batch.labels, (0, more), value=IGNORED),
        positions=torch.cat([batch.positions, padding], dim=1),
    )
