"""Which slot each row of a batch asks, in the forms that layers need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BASE = -1
"""The slot of rows that ask the bare base model: the last one of every stack."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that share a slot."""

    slot: int
    rows: slice | Tensor


@dataclass(frozen=True)
class RowSlots:
    """The slot of every row of a batch, in the forms that the updates need."""

    slots: tuple[int, ...]
    is_prefill: bool
    runs: tuple[Run, ...]
    """The base's rows are in none."""
    index: Tensor
    """(N,) slots."""

    @classmethod
    def of(cls, slots: Sequence[int], device: torch.device, *, is_prefill: bool) -> "RowSlots":
        """Describe a batch; a prefill's rows must be sorted by slot."""
        index = torch.tensor(slots, device=device)
        make = _sorted_runs if is_prefill else _scattered_runs
        return cls(tuple(slots), is_prefill, tuple(make(slots, device)), index)

    @property
    def only_slot(self) -> int | None:
        """The slot of all rows, when they have the same."""
        return self.slots[0] if len(set(self.slots)) == 1 else None


def _sorted_runs(slots: Sequence[int], device: torch.device) -> Iterator[Run]:  # noqa: ARG001
    start = 0
    for stop in range(1, len(slots) + 1):
        if stop == len(slots) or slots[stop] != slots[start]:
            if slots[start] != BASE:
                yield Run(slots[start], slice(start, stop))
            start = stop


def _scattered_runs(slots: Sequence[int], device: torch.device) -> Iterator[Run]:
    for slot in sorted(set(slots) - {BASE}):
        rows = [row for row, other in enumerate(slots) if other == slot]
        yield Run(slot, torch.tensor(rows, device=device))
