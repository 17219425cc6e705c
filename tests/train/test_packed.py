"""4-bit weights that go away between the passes, beside bitsandbytes' own product."""

import gc

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from torch.multiprocessing.reductions import StorageWeakRef

from loray.train.packed import ReleasingLinear4bit, let_release

DTYPES = [torch.float32, torch.bfloat16]


def packed(dtype: torch.dtype) -> Linear4bit:
    torch.manual_seed(0)
    made = Linear4bit(128, 192, bias=True, compute_dtype=dtype, quant_type="nf4")
    made.support_avx512bf16_for_cpu = False
    made = made.to("cpu")
    made.weight.requires_grad_(False)
    return made


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_product_and_its_gradients_are_those_of_bitsandbytes(dtype: torch.dtype) -> None:
    linear, found = packed(dtype), []
    x = torch.randn(10, 128, dtype=dtype)
    for _ in range(2):
        given = x.clone().requires_grad_()
        linear.bias.grad = None
        out = linear(given)
        out.square().sum().backward()
        found.append([out.detach(), given.grad, linear.bias.grad.clone()])
        let_release(linear)
    assert type(linear) is ReleasingLinear4bit
    for theirs, ours in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("releases", [True, False], ids=["ours", "theirs"])
def test_what_was_put_together_for_the_forward_pass_is_free_after_it(releases: bool) -> None:
    """Theirs keeps it, or this would show nothing."""
    linear = packed(torch.float32)
    if releases:
        let_release(linear)
    x = torch.randn(3, 128, requires_grad=True)
    kept = linear.weight.data.clone()
    held = StorageWeakRef(linear.weight.data.untyped_storage())
    loss = linear(x).sum()
    linear.weight.data = torch.empty(0, dtype=torch.uint8)  # as DeepSpeed lets go of it
    gc.collect()
    assert held.expired() == releases
    linear.weight.data = kept  # before the backward pass it is put together again
    loss.backward()
    assert x.grad.abs().sum() > 0
