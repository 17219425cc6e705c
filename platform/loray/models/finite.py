"""Which weight of a base model holds NaN or infinity."""

import torch
from safetensors import safe_open

from loray.errors import ModelError
from loray.models.deferred import weight_files
from loray.spec.train import BaseModelSpec

NUMBERS_AT_ONCE = 1 << 26
"""Of a weight that is looked at."""


def no_finite_loss(spec: BaseModelSpec, loss: float) -> ModelError:
    """Why a base model has the loss that it has, NaN or infinite, before anything is learned.

    Reads all of its weights, one after another.
    """
    begin = f"the base model {spec.path!r} has a loss of {loss} before any training"
    found = _first_not_finite(spec)
    if found is None:
        return ModelError(
            f"{begin}, though all of its weights are finite: its activations overflow in "
            f"base_model.dtype {spec.dtype}; use float32, or another base model"
        )
    return ModelError(
        f"{begin}, since its weights hold NaN or infinity: {found}; fetch or save the base again"
    )


def _first_not_finite(spec: BaseModelSpec) -> str | None:
    """Its file, its name, and how many of its numbers are no finite ones."""
    for name, path in weight_files(spec):
        with safe_open(path, framework="pt", backend="pread") as source:
            weight = source.get_tensor(name)
        if not weight.is_floating_point():
            continue
        parts = weight.flatten().split(NUMBERS_AT_ONCE)
        odd = sum(int((~torch.isfinite(part.float())).sum()) for part in parts)
        if odd:
            return f"{odd} of {weight.numel()} numbers of tensor {name} in {path.name}"
    return None
