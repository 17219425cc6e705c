"""Many tensors exchanged as a few: each exchange between workers has a price of its own."""

from collections.abc import Iterable, Iterator

import torch

BUCKET = 1 << 23
"""Numbers that are exchanged at once, or a few more: 32 MiB in float32."""


def in_buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The tensors in order, some at a time."""
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        bucket.append(tensor)
        size += tensor.numel()
        if size >= BUCKET:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket


def laid_out(flat: torch.Tensor, like: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Views of `flat` in the shapes of `like`, end to end."""
    at = 0
    for tensor in like:
        yield flat[at : at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
