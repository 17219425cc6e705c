"""An embedding or output projection that an adapter brings in full or updates, slot for slot.

`N` rows, `V` vocabulary, `H` hidden size, `r` rank. A slot holds a matrix (V, H), or the two of an
update, only if its adapter brings them, from the moment that it is loaded until the slot is filled
anew. Rows of such adapters are computed with them, each run of equal slots by itself; all others
with the base's own.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from loray.inference.rows import RowSlots, Run

Table = nn.Embedding | nn.Linear


class TableUpdate(NamedTuple):
    """A LoRA on an embedding or output projection."""

    a: Tensor
    """(V, r) of an embedding, (H, r) of an output projection."""
    b: Tensor
    """(r, H) or (r, V), scaled."""


class SlottedTable(nn.Module):
    """`base(x)`, but with a slot's own matrix or update where it has one."""

    def __init__(self, base: Table) -> None:
        super().__init__()
        self.base = base
        self._own: dict[int, Tensor] = {}
        self._updates: dict[int, TableUpdate] = {}
        self._runs: list[Run] = []
        self._updated: list[Run] = []
        self._only: Tensor | TableUpdate | None = None

    @property
    def weight(self) -> Tensor:
        """The base's matrix (V, H)."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """Token ids (N, T), or hidden states (N, ..., H), to the same of the other."""
        if isinstance(self._only, Tensor):
            return self._with(self._only, x)
        y: Tensor = self.base(x)
        if self._only is not None:
            return y.add_(self._delta(self._only, x))
        for run in self._runs:
            y[run.rows] = self._with(self._own[run.slot], x[run.rows])
        for run in self._updated:
            y[run.rows] += self._delta(self._updates[run.slot], x[run.rows])
        return y

    def fill(self, slot: int, weight: Tensor | None, update: TableUpdate | None = None) -> None:
        """Give a slot a matrix (V, H) or an update, or take them back."""
        self._own.pop(slot, None)
        self._updates.pop(slot, None)
        if weight is not None:
            self._own[slot] = weight
        if update is not None:
            self._updates[slot] = update

    def set_rows(self, rows: RowSlots | None) -> None:
        """Choose the matrices for a batch; None is the bare base model."""
        runs = () if rows is None else rows.runs
        self._runs = [run for run in runs if run.slot in self._own]
        self._updated = [run for run in runs if run.slot in self._updates]
        only = None if rows is None else rows.only_slot
        self._only = None
        if only is not None:
            self._only = self._own.get(only, self._updates.get(only))

    def _with(self, weight: Tensor, x: Tensor) -> Tensor:
        if type(self.base) is nn.Embedding:
            return functional.embedding(x, weight)
        if isinstance(self.base, nn.Linear):
            return functional.linear(x, weight, self.base.bias)
        # One that does more than look up: Gemma's scales what it finds.
        found: Tensor = functional_call(self.base, {"weight": weight}, (x,))
        return found

    def _delta(self, update: TableUpdate, x: Tensor) -> Tensor:
        if isinstance(self.base, nn.Linear):
            return x.to(update.a.dtype) @ update.a @ update.b
        found = functional.embedding(x, update.a) @ update.b
        scale = getattr(self.base, "embed_scale", None)  # Gemma's, as PEFT applies it
        return found if scale is None else found * scale.to(found)
