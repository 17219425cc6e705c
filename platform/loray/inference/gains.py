"""What DoRA adapters multiply a layer's outputs by, slot for slot.

A DoRA layer computes `g (W0 x + s B A x) + bias`, with one number `g` for each output, which is
constant while an adapter is served. `g` is folded into B, so what is left is the base's part:

    y = W0 x + bias    becomes    g y + (1 - g) bias

Rows of other adapters and of the base have ones, which change no bit. Memory is taken when the
first DoRA comes in and given back with the last one, and a batch without one skips all of this.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

Update = Callable[[Tensor, Tensor], Tensor]
"""(x (N, T, I), y (N, T, O)): add the rows' updates into y and return it."""


class Gains:
    """The gains of a layer's slots, (S + 1, O), float32; the last slot is the base's."""

    def __init__(self, num_slots: int, bias: Tensor | None) -> None:
        self._num_slots = num_slots
        self._bias = bias
        self._gains: Tensor | None = None
        self._filled: set[int] = set()

    def fill(self, slot: int, gain: Tensor | None) -> None:
        """Put an adapter's gains (O,) into a slot; None for one that has none."""
        if gain is None:
            if slot in self._filled:
                self._remove(slot)
            return
        if self._gains is None:
            self._gains = gain.new_ones(self._num_slots + 1, gain.shape[0])
        self._gains[slot] = gain
        self._filled.add(slot)

    def before(self, update: Update, slots: Sequence[int], index: Tensor) -> Update:
        """`update`, after the gains of a batch's rows; itself when none of them has any."""
        if self._gains is None or self._filled.isdisjoint(slots):
            return update
        is_one = len(set(slots)) == 1
        gain = self._gains[slots[0]] if is_one else self._gains[index][:, None]
        shift = None if self._bias is None else (1.0 - gain) * self._bias
        return _Gained(gain, shift, update)

    def _remove(self, slot: int) -> None:
        self._filled.discard(slot)
        if not self._filled:
            self._gains = None
        elif self._gains is not None:
            self._gains[slot] = 1.0


class _Gained:
    """The rows' gains (O,) or (N, 1, O), then their updates."""

    def __init__(self, gain: Tensor, shift: Tensor | None, update: Update) -> None:
        self._gain, self._shift, self._update = gain, shift, update

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        y.mul_(self._gain)
        if self._shift is not None:
            y.add_(self._shift)
        return self._update(x, y)
