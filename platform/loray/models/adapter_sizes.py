"""Whether an adapter's numbers are small enough for what is computed with them to stay finite.

A trained update has a norm well below that of the weight it is added to, and weights of published
models have norms of 1 to 1,000. Four updates of norm 1e4 in a row, the most between two norms of a
block, turn activations of size 1 into 1e16, whose squares float32 and bfloat16 still hold.
"""

from pathlib import Path

import numpy as np

from loray.errors import AdapterError
from loray.models.adapter_config import AdapterConfig
from loray.models.factors import decode, read_factors, read_others
from loray.models.spectrum import update_norm

MAX_NORM = 1e4
"""Largest Frobenius norm of a module's update (alpha / r) B A."""
MAX_VALUE = 1e4
"""Largest number in what is no factor: biases, magnitudes, whole modules, tables of tokens."""


def check_sizes(folder: Path, config: AdapterConfig) -> None:
    """Refuse an adapter that would drown its base or overflow.

    Args:
        folder: one that `check_adapter_folder` has passed, which gave `config`.

    Raises:
        AdapterError: names the first such module.
    """
    for found in read_factors(folder):
        norm = abs(config.scaling(found.module)) * update_norm(found.a, found.b)
        if not norm <= MAX_NORM:
            _refuse(f"(alpha / r) B A of {found.module} has a norm of {norm:.3g}", MAX_NORM)
    for tensor in read_others(folder):
        largest = float(np.abs(decode(tensor.data, tensor.dtype)).max(initial=0.0))
        if not largest <= MAX_VALUE:
            _refuse(f"tensor {tensor.name!a:.200} holds {largest:.3g}", MAX_VALUE)


def _refuse(found: str, most: float) -> None:
    raise AdapterError(
        f"{found}; wanted at most {most:g}: what is computed with it would overflow or drown the "
        "base model; the training diverged or the file is damaged: take an earlier checkpoint"
    )
