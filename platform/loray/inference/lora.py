"""Linear layers that add another low-rank update to every row of a batch.

`S` slots, `N` rows, `T` tokens of a pass, `I` inputs and `O` outputs of a layer, `r` rank. A layer
keeps A as (S + 1, I, r_max) and B as (S + 1, r_max, O), with alpha / r folded into B; the last slot
stays zero and stands for the bare base model.

How the update is computed is chosen per layer, when the rows of the batch change:

    no adapter in the batch     nothing at all
    one adapter in every row    two plain products with the slot's own weights
    prefill                     rows sorted by slot, two products for each run of equal slots
    decode                      each row's A and B copied together once, then two batched products
                                a step; or a product for each adapter where copies would be large
    a DoRA or a bias of         before any of these, the base's outputs times the rows' gains and
    one's own among the rows    moved by their shifts

The copies live until a request joins or leaves. Copying anew in every step would take eight times
as long as the products themselves (one core, N = 16, I = O = 512, r = 16: 280 against 33
microseconds). What is left is reading every row's adapter once a step, which is memory's speed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from loray.inference.gains import Gains, Update
from loray.inference.own import SlottedTable, TableUpdate
from loray.inference.rows import RowSlots, Run

ELEMENTS_PER_ADAPTER = 80_000
"""Reading this many elements of A and B takes as long as the extra calls for one more adapter.

Copies are read for every row, weights by adapter once for each. Measured within whole decode steps
on one AVX2 core, float32, N = 8 and 16, r = 8 to 64, I + O = 400 to 2000: 0.4 ns an element read,
32 microseconds for each adapter's own calls.
"""
MAX_COPIED_BYTES = 256 << 20
"""Most memory for the copies of one batch; beyond it, products by adapter need none."""


class LayerWeights(NamedTuple):
    """What an adapter brings for one layer."""

    a: Tensor
    """(I, r); r is 0 where only the bias is another."""
    b: Tensor
    """(r, O), scaled; by the gains too, where there are any."""
    gain: Tensor | None = None
    """(O,), float32: what a DoRA multiplies the base's outputs by."""
    bias: Tensor | None = None
    """(O,), float32: what stands in the place of the base's."""


@dataclass(frozen=True)
class AdapterWeights:
    """What an adapter brings, by the names of what it changes."""

    layers: Mapping[str, LayerWeights]
    in_full: Mapping[str, Tensor] = field(default_factory=dict)
    """(V, H) of an embedding or output projection."""
    table_updates: Mapping[str, TableUpdate] = field(default_factory=dict)
    """Of an embedding or output projection, too."""


class SlottedLinear(nn.Module):
    """`base(x)` plus the update that `set_rows` chose for the batch at hand."""

    def __init__(
        self, base: nn.Linear, project: Callable[[Tensor], Tensor], stack: tuple[int, int],
        like: Tensor,
    ) -> None:  # fmt: skip
        """Reserve memory for adapters over `base`.

        Args:
            project: computes `base(x)`.
            stack: number of slots and highest rank.
            like: a tensor of the type and on the device that adapters are kept in.
        """
        super().__init__()
        num_slots, self.max_rank = stack
        self.base = base
        self.num_inputs, self.num_outputs = base.in_features, base.out_features
        self.a = like.new_zeros(num_slots + 1, self.num_inputs, self.max_rank)
        self.b = like.new_zeros(num_slots + 1, self.max_rank, self.num_outputs)
        self.ranks = [0] * (num_slots + 1)
        self._gains = Gains(num_slots, None if base.bias is None else base.bias.detach())
        self._project = project
        self._update: Update | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, I) to (N, T, O)."""
        y = self._project(x)
        return y if self._update is None else self._update(x, y)

    def fill(self, slot: int, weights: LayerWeights | None) -> None:
        """Put an adapter's weights into a slot; None leaves the layer unadapted."""
        self.a[slot].zero_()
        self.b[slot].zero_()
        self.ranks[slot] = 0
        if weights is None:
            self._gains.fill(slot, None, None)
        else:
            self._gains.fill(slot, weights.gain, weights.bias)
            rank = weights.a.shape[1]
            self.a[slot, :, :rank] = weights.a
            self.b[slot, :rank] = weights.b
            self.ranks[slot] = rank

    def set_rows(self, rows: RowSlots | None, *, may_copy: bool) -> None:
        """Choose the update for a batch; None is the bare base model."""
        self._update = None if rows is None else self._choose(rows, may_copy=may_copy)

    def _choose(self, rows: RowSlots, *, may_copy: bool) -> Update | None:
        runs = [run for run in rows.runs if self.ranks[run.slot]]
        update = self._sum(rows, runs, may_copy=may_copy) if runs else None
        return self._gains.before(update, rows.slots, rows.index)

    def _sum(self, rows: RowSlots, runs: list[Run], *, may_copy: bool) -> Update:
        if rows.only_slot is not None:
            return _Whole(*self._weights(rows.only_slot))
        rank = max(self.ranks[run.slot] for run in runs)
        saved = (len(rows.slots) - len(runs)) * rank * (self.num_inputs + self.num_outputs)
        if rows.is_prefill or not may_copy or saved > ELEMENTS_PER_ADAPTER * len(runs):
            return _ByRun([(run.rows, _Whole(*self._weights(run.slot))) for run in runs])
        return _Copied(self.a[rows.index, :, :rank], self.b[rows.index, :rank])

    def _weights(self, slot: int) -> tuple[Tensor, Tensor]:
        rank = self.ranks[slot]
        return self.a[slot, :, :rank], self.b[slot, :rank]


class LoraStack:
    """All that can carry adapters in a model, by dotted names: its layers, and its tables."""

    def __init__(
        self, layers: dict[str, SlottedLinear], tables: Mapping[str, SlottedTable] | None = None
    ) -> None:
        self.layers = layers
        self.tables = dict(tables or {})
        first = next(iter(layers.values()))
        self.max_rank, self.num_slots = first.max_rank, first.a.shape[0] - 1
        self.like = first.a.new_empty(0)
        """Of the type and on the device that adapters are kept in."""
        self._bytes_per_rank = first.a.element_size() * sum(
            layer.num_inputs + layer.num_outputs for layer in layers.values()
        )
        self._current: RowSlots | None = None

    def set_rows(self, slots: Sequence[int], *, is_prefill: bool) -> None:
        """Choose every layer's update for the rows of the passes to come."""
        current = self._current
        if current and current.slots == tuple(slots) and current.is_prefill == is_prefill:
            return
        rows = RowSlots.of(slots, self.like.device, is_prefill=is_prefill)
        wanted = rows if rows.runs else None
        may_copy = self._copied_bytes(rows) <= MAX_COPIED_BYTES
        for layer in self.layers.values():
            layer.set_rows(wanted, may_copy=may_copy)
        for table in self.tables.values():
            table.set_rows(wanted)
        self._current = rows

    def fill(self, slot: int, weights: AdapterWeights) -> None:
        """Put an adapter into a slot that no row uses."""
        for name, layer in self.layers.items():
            layer.fill(slot, weights.layers.get(name))
        for name, table in self.tables.items():
            table.fill(slot, weights.in_full.get(name), weights.table_updates.get(name))
        self._current = None

    def _copied_bytes(self, rows: RowSlots) -> int:
        used = {run.slot for run in rows.runs}
        rank = max((max(x.ranks[s] for s in used) for x in self.layers.values() if used), default=0)
        return len(rows.slots) * rank * self._bytes_per_rank


class _Whole:
    """One adapter for everything it is given."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self._a, self._b = a, b

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = self._a, self._b
        if x.dtype == a.dtype:
            y.view(-1, b.shape[1]).addmm_(x.reshape(-1, a.shape[0]) @ a, b)
            return y
        return y.add_(self.delta(x))

    def delta(self, x: Tensor) -> Tensor:
        """The update of x (N, T, I) alone, (N, T, O), in the adapter's type."""
        return x.to(self._a.dtype) @ self._a @ self._b


class _ByRun:
    """One adapter after another, each over its rows."""

    def __init__(self, runs: Sequence[tuple[slice | Tensor, _Whole]]) -> None:
        self._runs = runs

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        for rows, whole in self._runs:
            if isinstance(rows, slice):
                whole(x[rows], y[rows])
            else:
                y[rows] += whole.delta(x[rows])
        return y


class _Copied:
    """Every row's own A (N, I, r) and B (N, r, O), copied together; the base's are zero."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self._a, self._b = a, b

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if x.dtype == self._a.dtype:
            return y.baddbmm_(x.bmm(self._a), self._b)
        return y.add_(x.to(self._a.dtype).bmm(self._a).bmm(self._b))


def dense_projection(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """`x @ weight.T + bias` without the cost of a module call."""

    def project(x: Tensor) -> Tensor:
        return functional.linear(x, weight, bias)

    return project
