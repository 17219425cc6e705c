"""Cross-entropy of an output projection whose logits are never all there.

Logits of all positions over a large vocabulary are the largest tensor of a step. Here a block of
positions is projected at a time, and its gradients are made at once, where its logits still are:
nothing is computed twice, and the backward pass has only to scale. Source: arXiv:2410.10989,
sec. 3.2 (Liger's FusedLinearCrossEntropy), in torch alone, so that every device has it.

A model may scale and cap what its projection gives (`loray.models.logits`): so is each block, and
its gradients go back through that.

Shapes: `N` positions, `H` hidden size, `V` vocabulary.
"""

from typing import Any, NamedTuple, cast

import torch
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from loray.models.logits import PLAIN, LogitForm
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

    def forward(
        self, hidden: Tensor, targets: Tensor | None = None, form: LogitForm = PLAIN
    ) -> Tensor:
        """Its outputs (N, V), or with `targets` (N,) nats, float32, shape ()."""
        if targets is None:
            return super().forward(hidden)
        return linear_cross_entropy(hidden, self.weight, targets, form)


def let_score(head: nn.Module) -> None:
    """Make a plain projection a `ScoringLinear`, in its place; others stay what they are."""
    if type(head) is nn.Linear and cast("Tensor | None", head.bias) is None:
        cast("Any", head).__class__ = ScoringLinear


def score(head: nn.Module, hidden: Tensor, targets: Tensor, form: LogitForm = PLAIN) -> Tensor:
    """Sum of the cross-entropy of `form(head(hidden))`, nats, float32, shape ().

    Args:
        hidden: (N, H).
        targets: (N,) token ids.
        form: from the head's outputs to logits.
    """
    if isinstance(head, ScoringLinear):
        found: Tensor = head(hidden, targets, form)
        return found
    return nn.functional.cross_entropy(form(head(hidden).float()), targets, reduction="sum")


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, form: LogitForm = PLAIN
) -> Tensor:
    """Sum of the cross-entropy of `form(hidden @ weight.T)`, nats, float32, shape ().

    Args:
        hidden: (N, H).
        weight: (V, H), of the same type.
        targets: (N,) token ids.
        form: from the products to logits.
    """
    learns = torch.is_grad_enabled()
    return cast("Tensor", _LinearCrossEntropy.apply(hidden, weight, targets, form, learns))  # type: ignore[no-untyped-call]


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        form: LogitForm,
        learns: bool,  # noqa: FBT001
    ) -> Tensor:
        is_wanted = [learns and needed for needed in ctx.needs_input_grad]
        to_hidden = torch.empty_like(hidden) if is_wanted[0] else None
        to_weight = _Sum(weight) if is_wanted[1] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        size = positions_at_once(weight.shape[0], on_gpu=hidden.is_cuda, learns=is_wanted[1])
        for start in range(0, len(hidden), size):
            block = slice(start, start + size)
            total += _take(
                _Block(hidden[block], weight, targets[block], form),
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
            None,
        )


class _Block(NamedTuple):
    """Some positions, and what scores them."""

    hidden: Tensor
    weight: Tensor
    targets: Tensor
    form: LogitForm


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


def _take(block: _Block, to_hidden: Tensor | None, to_weight: _Sum | None) -> Tensor:
    """The summed loss of a block, shape (); its gradients go into `to_hidden` and `to_weight`."""
    hidden, weight, targets, form = block
    logits = (hidden @ weight.T).float()
    slope = None if form.is_plain else _shape_logits(logits, form)
    loss = _to_gradient(logits, targets)
    if slope is not None:
        logits.mul_(slope)
    gradient = logits.to(weight.dtype)
    if to_hidden is not None:
        torch.mm(gradient, weight, out=to_hidden)
    if to_weight is not None:
        to_weight.add(gradient, hidden)
    return loss


def _shape_logits(x: Tensor, form: LogitForm) -> Tensor | float:
    """Make outputs `x` (positions, V) logits, in their place; returns the slope `dz / dx`."""
    if form.cap is None:
        x.mul_(form.scale)
        return form.scale
    x.mul_(form.scale / form.cap).tanh_()
    slope = x.square().neg_().add_(1.0).mul_(form.scale)
    x.mul_(form.cap)
    return slope


def _to_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """The summed loss, shape (); `logits` (positions, V) become its gradient, in their place."""
    rows = targets[:, None]
    of_targets = logits.gather(1, rows)
    greatest = logits.amax(dim=1, keepdim=True)
    normalizer = logits.sub_(greatest).exp_().sum(dim=1, keepdim=True)
    logits.div_(normalizer).scatter_add_(1, rows, torch.full_like(of_targets, -1.0))
    return (normalizer.log() + greatest - of_targets).sum()
