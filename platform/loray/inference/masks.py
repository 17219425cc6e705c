"""What a decode step's rows may attend to, in every kind of layer that a model has.

Rows of a batch are of unequal length, and some layers see only the last positions (a sliding
window). Which kinds of layers there are is read as transformers does it
(`masking_utils.create_masks_for_generate`): `layer_types` says it layer by layer, else one window
is that of all layers.

`N` rows, `L` positions read back. A mask (N, 1, 1, L) is zero where a row may attend.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

SLIDING, FULL = "sliding_attention", "full_attention"

Masks = Tensor | dict[str, Tensor | None] | None
"""For all layers, or by kind of layer; None where every row attends to all that is read."""


class DecodeMasks:
    """Makes the masks of a model's decode steps."""

    def __init__(self, config: Any, max_context: int, like: Tensor) -> None:  # noqa: ANN401
        """Look at the layers that a model has.

        Args:
            config: the model's.
            like: a tensor of the type and on the device that the model computes with.
        """
        kinds = getattr(config, "layer_types", None)
        window = getattr(config, "sliding_window", None)
        self._is_by_layer = kinds is not None and SLIDING in kinds
        slides = self._is_by_layer or kinds is None
        self._window = int(window) if slides and window is not None else None
        self._columns = torch.arange(max_context, device=like.device)
        self._dtype = like.dtype

    def of(self, lengths: Sequence[int], positions: Tensor) -> Masks:
        """The masks of a step.

        Args:
            lengths: tokens in each row's cache so far.
            positions: (N,) the same.
        """
        num_read = max(lengths) + 1
        columns = self._columns[:num_read]
        is_ragged = min(lengths) + 1 < num_read
        window = self._window
        if window is None or num_read <= window:
            return self._mask(columns > positions[:, None]) if is_ragged else None
        outside = (columns > positions[:, None]) | (columns <= positions[:, None] - window)
        sliding = self._mask(outside)
        if not self._is_by_layer:
            return sliding
        full = self._mask(columns > positions[:, None]) if is_ragged else None
        return {FULL: full, SLIDING: sliding}

    def _mask(self, is_hidden: Tensor) -> Tensor:
        mask = torch.zeros(is_hidden.shape, dtype=self._dtype, device=is_hidden.device)
        return mask.masked_fill_(is_hidden, float("-inf"))[:, None, None]
