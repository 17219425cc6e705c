"""Cross-entropy of an output projection whose logits are never all there.

Logits of all positions over a large vocabulary are the largest tensor of a step. Here a block of
positions is projected at a time, and its gradients are made at once, where its logits still are:
nothing is computed twice, and the backward pass has only to scale. Source: arXiv:2410.10989,
sec. 3.2 (Liger's FusedLinearCrossEntropy), in torch alone, so that every device has it.

Shapes: `N` positions, `H` hidden size, `V` vocabulary.
"""

from typing import Any, cast

import torch
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from loray.planner.loss import positions_at_once


def projection_of(model: PreTrainedModel) -> nn.Module:
    """A model's output projection; where it learns in full beside an adapter, that copy of it."""
    head = cast("nn.Module", model.get_output_embeddings())
    return head.modules_to_save["default"] if isinstance(head, ModulesToSaveWrapper) else head


class ScoringLinear(nn.Linear):
    """An output projection that, given targets, returns their summed loss in place of logits.

    The loss is made inside of the module, since a strategy may put its weight together only while
    it is called.
    """

    def forward(self, hidden: Tensor, targets: Tensor | None = None) -> Tensor:
        """Logits (N, V), or with `targets` (N,) nats, float32, shape ()."""
        if targets is None:
            return super().forward(hidden)
        return linear_cross_entropy(hidden, self.weight, targets)


def let_score(head: nn.Module) -> None:
    """Make a plain projection a `ScoringLinear`, in its place; others stay what they are."""
    if type(head) is nn.Linear and cast("Tensor | None", head.bias) is None:
        cast("Any", head).__class__ = ScoringLinear


def score(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """Sum of the cross-entropy of `head(hidden)`, nats, float32, shape ().

    Args:
        hidden: (N, H).
        targets: (N,) token ids.
    """
    if isinstance(head, ScoringLinear):
        found: Tensor = head(hidden, targets)
        return found
    return nn.functional.cross_entropy(head(hidden).float(), targets, reduction="sum")


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Sum of the cross-entropy of `hidden @ weight.T`, nats, float32, shape ().

    Args:
        hidden: (N, H).
        weight: (V, H), of the same type.
        targets: (N,) token ids.
    """
    learns = torch.is_grad_enabled()
    return cast("Tensor", _LinearCrossEntropy.apply(hidden, weight, targets, learns))  # type: ignore[no-untyped-call]


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, learns: bool) -> Tensor:  # noqa: ANN401, FBT001
        is_wanted = [learns and needed for needed in ctx.needs_input_grad]
        to_hidden = torch.empty_like(hidden) if is_wanted[0] else None
        to_weight = _Sum(weight) if is_wanted[1] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        size = positions_at_once(weight.shape[0], on_gpu=hidden.is_cuda, learns=is_wanted[1])
        for start in range(0, len(hidden), size):
            block = slice(start, start + size)
            total += _take(
                hidden[block],
                weight,
                targets[block],
                None if to_hidden is None else to_hidden[block],
                to_weight,
            )
        ctx.save_for_backward(to_hidden, None if to_weight is None else to_weight.total)
        ctx.dtype = weight.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        to_hidden, to_weight = ctx.saved_tensors
        return (
            None if to_hidden is None else (to_hidden.float() * scale).to(ctx.dtype),
            None if to_weight is None else to_weight.mul_(scale).to(ctx.dtype),
            None,
            None,
        )


class _Sum:
    """The gradient of a weight, summed over blocks in float32."""

    def __init__(self, weight: Tensor) -> None:
        self.total = torch.zeros_like(weight, dtype=torch.float32)
        is_wide = weight.dtype == torch.float32
        self._product = None if is_wide else torch.empty_like(weight)

    def add(self, gradient: Tensor, hidden: Tensor) -> None:
        """Add `gradient.T @ hidden` of a block."""
        if self._product is None:
            self.total.addmm_(gradient.T, hidden)
        else:
            self.total += torch.mm(gradient.T, hidden, out=self._product)


def _take(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    to_hidden: Tensor | None,
    to_weight: _Sum | None,
) -> Tensor:
    """The summed loss of a block, shape (); its gradients go into `to_hidden` and `to_weight`."""
    logits = (hidden @ weight.T).float()
    loss = _to_gradient(logits, targets)
    gradient = logits.to(weight.dtype)
    if to_hidden is not None:
        torch.mm(gradient, weight, out=to_hidden)
    if to_weight is not None:
        to_weight.add(gradient, hidden)
    return loss


def _to_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """The summed loss, shape (); `logits` (positions, V) become its gradient, in their place."""
    rows = targets[:, None]
    of_targets = logits.gather(1, rows)
    greatest = logits.amax(dim=1, keepdim=True)
    normalizer = logits.sub_(greatest).exp_().sum(dim=1, keepdim=True)
    logits.div_(normalizer).scatter_add_(1, rows, torch.full_like(of_targets, -1.0))
    return (normalizer.log() + greatest - of_targets).sum()
