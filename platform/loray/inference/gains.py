"""What adapters do to a layer's outputs before their updates are added, slot for slot.

A DoRA layer computes `g (W0 x + s B A x) + bias`, with one number `g` for each output, which is
constant while an adapter is served. An adapter may also bring a bias of its own in the base's
place. `g` is folded into B, so what is left is the base's part:

    y = W0 x + bias    becomes    g y + (bias' - g bias)

where `bias'` is the adapter's, or else the base's. Rows of other adapters and of the base have
gains of one and shifts of zero, which change no bit. Memory is taken when the first adapter that
needs it comes in and given back with the last one, and a batch without one skips all of this.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

Update = Callable[[Tensor, Tensor], Tensor]
"""(x (N, T, I), y (N, T, O)): add the rows' updates into y and return it."""


class Gains:
    """The gains and shifts of a layer's slots."""

    def __init__(self, num_slots: int, bias: Tensor | None) -> None:
        self._bias = bias
        self._gains = _Outputs(num_slots, 1.0)
        self._shifts = _Outputs(num_slots, 0.0)

    def fill(self, slot: int, gain: Tensor | None, bias: Tensor | None) -> None:
        """Put an adapter's gains (O,) and its bias (O,), float32, into a slot; None for none."""
        self._gains.fill(slot, gain)
        self._shifts.fill(slot, self._shift(gain, bias))

    def before(self, update: Update | None, slots: Sequence[int], index: Tensor) -> Update | None:
        """`update`, after what a batch's rows do to y; itself when they do nothing."""
        gain, shift = self._gains.of(slots, index), self._shifts.of(slots, index)
        if gain is None and shift is None:
            return update
        return _Moved(gain, shift, update)

    def _shift(self, gain: Tensor | None, bias: Tensor | None) -> Tensor | None:
        if self._bias is None or (gain is None and bias is None):
            return None
        own = self._bias.float()
        return (own if bias is None else bias) - (own if gain is None else gain * own)


class _Outputs:
    """A number for each output of each slot, (S + 1, O), float32; the last slot is the base's."""

    def __init__(self, num_slots: int, neutral: float) -> None:
        self._num_slots = num_slots
        self._neutral = neutral
        self._values: Tensor | None = None
        self._filled: set[int] = set()

    def fill(self, slot: int, values: Tensor | None) -> None:
        """Put values (O,) into a slot; None for an adapter that has none."""
        if values is None:
            if slot in self._filled:
                self._remove(slot)
            return
        if self._values is None:
            shape = (self._num_slots + 1, values.shape[0])
            self._values = values.new_full(shape, self._neutral)
        self._values[slot] = values
        self._filled.add(slot)

    def of(self, slots: Sequence[int], index: Tensor) -> Tensor | None:
        """Those of a batch's rows, (O,) or (N, 1, O); None when none of them has any."""
        if self._values is None or self._filled.isdisjoint(slots):
            return None
        is_one = len(set(slots)) == 1
        return self._values[slots[0]] if is_one else self._values[index][:, None]

    def _remove(self, slot: int) -> None:
        self._filled.discard(slot)
        if not self._filled:
            self._values = None
        elif self._values is not None:
            self._values[slot] = self._neutral


class _Moved:
    """The rows' gains and shifts, then their updates."""

    def __init__(self, gain: Tensor | None, shift: Tensor | None, update: Update | None) -> None:
        self._gain, self._shift, self._update = gain, shift, update

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if self._gain is not None:
            y.mul_(self._gain)
        if self._shift is not None:
            y.add_(self._shift)
        return y if self._update is None else self._update(x, y)
