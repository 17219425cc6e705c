"""An embedding or output projection that an adapter brings in full, slot for slot.

`N` rows, `V` vocabulary, `H` hidden size. A slot holds a matrix (V, H) only if its adapter brings
one, from the moment that it is loaded until the slot is filled anew. Rows of such adapters are
computed with it, each run of equal slots by itself; all others with the base's own.
"""

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from loray.inference.rows import RowSlots, Run

Table = nn.Embedding | nn.Linear


class SlottedTable(nn.Module):
    """`base(x)`, but with a slot's own matrix where it has one."""

    def __init__(self, base: Table) -> None:
        super().__init__()
        self.base = base
        self._own: dict[int, Tensor] = {}
        self._runs: list[Run] = []
        self._only: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """The base's matrix (V, H)."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """Token ids (N, T), or hidden states (N, ..., H), to the same of the other."""
        if self._only is not None:
            return self._with(self._only, x)
        y: Tensor = self.base(x)
        for run in self._runs:
            y[run.rows] = self._with(self._own[run.slot], x[run.rows])
        return y

    def fill(self, slot: int, weight: Tensor | None) -> None:
        """Give a slot a matrix (V, H), or take it back."""
        if weight is None:
            self._own.pop(slot, None)
        else:
            self._own[slot] = weight

    def set_rows(self, rows: RowSlots | None) -> None:
        """Choose the matrices for a batch; None is the bare base model."""
        self._runs = [] if rows is None else [run for run in rows.runs if run.slot in self._own]
        is_only = rows is not None and rows.only_slot in self._own
        self._only = self._own[self._runs[0].slot] if is_only else None

    def _with(self, weight: Tensor, x: Tensor) -> Tensor:
        if type(self.base) is nn.Embedding:
            return functional.embedding(x, weight)
        if isinstance(self.base, nn.Linear):
            return functional.linear(x, weight, self.base.bias)
        # One that does more than look up: Gemma's scales what it finds.
        found: Tensor = functional_call(self.base, {"weight": weight}, (x,))
        return found
