"""Keys and values of all running sequences, in one block of memory per layer.

`R` rows, `H` key-value heads, `M` positions, `D` dimensions of a head, `T` tokens of a pass,
`L` positions read back. A sequence owns one row; the rows in use are always the first ones, so
that a decode step reads them as one view.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass(slots=True)
class _Pass:
    """Where the model's next pass writes and what it reads."""

    first_row: int = 0
    num_rows: int = 0
    positions: Tensor | None = None
    """(rows,) where each row's one new token goes; None in a prefill, which starts at 0."""
    rows: Tensor | None = None
    num_read: int = 0
    """L; a prefill reads only what it writes."""


class _SlabLayer(CacheLayerMixin):
    """One layer's keys and values, (R, H, M, D)."""

    def __init__(self, shape: tuple[int, int, int, int], like: Tensor, now: _Pass) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys = self.slab_keys = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self.values = self.slab_values = torch.zeros_like(self.slab_keys)
        self.is_initialized = True
        self._now = now

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: the memory is there from the start."""

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        *args: object,  # noqa: ARG002 - transformers' signature
        **kwargs: object,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        """Store the pass's keys and values, (rows, H, T, D); return all that it may attend to."""
        now = self._now
        keys, values = self.slab_keys, self.slab_values
        if now.positions is None:
            rows = slice(now.first_row, now.first_row + now.num_rows)
            num_tokens = key_states.shape[2]
            keys[rows, :, :num_tokens] = key_states
            values[rows, :, :num_tokens] = value_states
            return key_states, value_states
        keys[now.rows, :, now.positions] = key_states.squeeze(2)
        values[now.rows, :, now.positions] = value_states.squeeze(2)
        return keys[: now.num_rows, :, : now.num_read], values[: now.num_rows, :, : now.num_read]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many positions a pass attends to, and the first of them."""
        return max(query_length, self._now.num_read), 0

    def get_seq_length(self) -> int:
        """Positions that were there before the pass, in the longest row."""
        return max(self._now.num_read - 1, 0)

    def get_max_length(self) -> int:
        """M."""
        return self.slab_keys.shape[2]


class KVSlab(Cache):
    """The cache that is handed to a transformers model; say what a pass does before each one."""

    def __init__(self, shape: tuple[int, int, int, int], num_layers: int, like: Tensor) -> None:
        """Reserve (R, H, M, D) twice per layer, of the type and on the device of `like`."""
        self._now = _Pass()
        self._slabs = [_SlabLayer(shape, like, self._now) for _ in range(num_layers)]
        super().__init__(layers=list(self._slabs))
        self._rows = torch.arange(shape[0], device=like.device)
        # transformers asks these of every layer in every pass; the answer never changes.
        self._no_layer = [False] * num_layers

    @property
    def is_sliding(self) -> list[bool]:
        """No layer forgets."""
        return self._no_layer

    @property
    def is_linear(self) -> list[bool]:
        """No layer is without keys."""
        return self._no_layer

    @property
    def is_dummy(self) -> list[bool]:
        """Every layer has its own keys."""
        return self._no_layer

    def begin_prefill(self, first_row: int, num_rows: int) -> None:
        """The next pass writes rows `first_row` and on, from position 0."""
        now = self._now
        now.first_row, now.num_rows = first_row, num_rows
        now.positions, now.rows, now.num_read = None, None, 0

    def begin_decode(self, positions: Tensor, num_read: int) -> None:
        """The next pass writes one token at `positions` (rows,) of the first rows, and reads L."""
        now = self._now
        now.first_row, now.num_rows = 0, positions.shape[0]
        now.positions, now.rows, now.num_read = positions, self._rows[: now.num_rows], num_read

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a row over another one's."""
        for layer in self._slabs:
            for slab in (layer.slab_keys, layer.slab_values):
                slab[target, :, :length] = slab[source, :, :length]

    def clear(self, row: int, length: int) -> None:
        """Zero the first `length` positions of a row."""
        for layer in self._slabs:
            layer.slab_keys[row, :, :length].zero_()
            layer.slab_values[row, :, :length].zero_()
