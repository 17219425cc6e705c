"""A loss made of blocks of positions is the loss of all logits, and so are its gradients."""

import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from loray.models.logits import PLAIN, LogitForm, logit_form
from loray.planner import loss as planned
from loray.train.linear_cross_entropy import let_score, linear_cross_entropy, score
from tests.planner.shapes import SHAPES, spec

POSITIONS, HIDDEN, VOCABULARY = 150, 24, 200
SCALE = 1 / 300
"""Of the loss; no number of bfloat16."""
NATS = {torch.float32: 1e-6, torch.bfloat16: 1e-3}
"""Largest relative difference of the loss."""
OF_GRADIENT = {torch.float32: 1e-6, torch.bfloat16: 2e-2}
"""Of a gradient, as a share of its largest entry; bfloat16 has 8 bits."""


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def parts(request) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states, a weight and targets."""
    torch.manual_seed(0)
    hidden = torch.randn(POSITIONS, HIDDEN).to(request.param).requires_grad_()
    weight = torch.randn(VOCABULARY, HIDDEN).to(request.param).requires_grad_()
    return hidden, weight, torch.randint(0, VOCABULARY, (POSITIONS,))


@pytest.fixture(params=[VOCABULARY, 2**22], ids=["64 at once", "all at once"])
def at_once(request, monkeypatch) -> int:
    monkeypatch.setitem(planned.LOGITS_AT_ONCE, "cpu", request.param)
    size = planned.positions_at_once(VOCABULARY, on_gpu=False, learns=True)
    assert (size < POSITIONS) == (request.param == VOCABULARY)
    return size


FORMS = {
    "plain": PLAIN,
    "scaled": LogitForm(scale=0.0625),
    "capped": LogitForm(cap=7.0),
    "scaled and capped": LogitForm(scale=1.7, cap=5.0),
}


def exact(hidden, weight, targets, form=PLAIN) -> list[torch.Tensor]:
    """The loss of all logits and its gradients, float64."""
    hidden, weight = (t.detach().double().requires_grad_() for t in (hidden, weight))
    logits = hidden @ weight.T * form.scale
    if form.cap is not None:
        logits = form.cap * torch.tanh(logits / form.cap)
    loss = nn.functional.cross_entropy(logits, targets, reduction="sum")
    return [loss, *torch.autograd.grad(loss * SCALE, (hidden, weight))]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_loss_and_both_gradients_are_those_of_all_logits(parts, form: LogitForm):
    hidden, weight, _ = parts
    wanted = exact(*parts, form)
    loss = linear_cross_entropy(*parts, form)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(wanted[0].item(), rel=NATS[hidden.dtype])
    (loss * SCALE).backward()
    for parameter, gradient in zip((hidden, weight), wanted[1:], strict=True):
        assert parameter.grad.dtype == parameter.dtype
        tolerance = OF_GRADIENT[hidden.dtype] * float(gradient.abs().max())
        found = parameter.grad.double()
        torch.testing.assert_close(found, gradient, rtol=0, atol=tolerance)
        share = (found * gradient).sum() / gradient.square().sum()
        assert share.item() == pytest.approx(1.0, abs=1e-3)  # none of it is lost to a rounded scale


def test_gradients_are_those_of_small_changes():
    """By another route than autograd: differences of the loss itself, in float64."""
    torch.manual_seed(1)
    hidden, weight = torch.randn(5, 3).requires_grad_(), torch.randn(11, 3)
    targets, form = torch.randint(0, 11, (5,)), FORMS["scaled and capped"]
    linear_cross_entropy(hidden, weight, targets, form).backward()
    for place in ((0, 0), (3, 2), (4, 1)):
        ends = []
        for change in (1e-4, -1e-4):
            moved = hidden.detach().double()
            moved[place] += change
            logits = form(moved @ weight.double().T)
            ends.append(torch.logsumexp(logits, 1).sum() - logits[range(5), targets].sum())
        assert hidden.grad[place].item() == pytest.approx(
            float(ends[0] - ends[1]) / 2e-4, rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_projection_of_any_kind_takes_the_form(bias: bool, form: LogitForm):
    head, hidden, targets = nn.Linear(6, 20, bias=bias), torch.randn(9, 6), torch.arange(9)
    wanted = nn.functional.cross_entropy(form(head(hidden)), targets, reduction="sum")
    let_score(head)
    assert score(head, hidden, targets, form).item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("config", "form"),
    [
        ({"logits_scaling": 8.0}, LogitForm(scale=0.125)),
        ({"logit_scale": 0.0625}, LogitForm(scale=0.0625)),
        ({"final_logit_softcapping": 30.0}, LogitForm(cap=30.0)),
        ({"final_logit_softcapping": None}, PLAIN),
        ({}, PLAIN),
    ],
)
def test_the_form_is_read_off_the_config(config, form: LogitForm):
    assert logit_form(SimpleNamespace(**config)) == form
    assert form.is_plain == (form == PLAIN)


@pytest.mark.parametrize("learns", [(True, False), (False, True)], ids=["hidden", "weight"])
def test_only_what_learns_gets_a_gradient(parts, learns: tuple[bool, bool]):
    hidden, weight, targets = parts
    for parameter, is_learned in zip((hidden, weight), learns, strict=True):
        parameter.requires_grad_(is_learned)
    linear_cross_entropy(hidden, weight, targets).backward()
    assert (hidden.grad is not None, weight.grad is not None) == learns


def test_without_gradients_there_is_the_loss_alone(parts):
    with torch.no_grad():
        loss = linear_cross_entropy(*parts)
    assert not loss.requires_grad
    assert torch.equal(loss, linear_cross_entropy(*parts).detach())


def test_logits_that_are_far_apart_neither_overflow_nor_vanish():
    hidden = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0]])
    loss = linear_cross_entropy(hidden, weight, torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(400.0)
    loss.backward()
    assert hidden.grad.flatten().tolist() == [0.0, -2.0]


def test_no_position_has_no_loss_and_no_gradient():
    hidden, weight = torch.zeros(0, 4, requires_grad=True), torch.ones(8, 4)
    loss = linear_cross_entropy(hidden, weight, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert hidden.grad.shape == (0, 4)


@pytest.mark.parametrize("bias", [False, True])
def test_a_projection_still_gives_logits_and_has_a_loss_besides(bias: bool):
    head, targets = nn.Linear(HIDDEN, VOCABULARY, bias=bias), torch.arange(9)
    hidden = torch.randn(9, HIDDEN)
    logits = head(hidden)
    let_score(head)
    assert torch.equal(head(hidden), logits)
    wanted = nn.functional.cross_entropy(logits, targets, reduction="sum")
    assert score(head, hidden, targets).item() == pytest.approx(wanted.item(), rel=1e-6)


def test_what_autograd_keeps_does_not_grow_with_the_vocabulary():
    hidden = torch.randn(POSITIONS, HIDDEN, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        linear_cross_entropy(hidden, torch.randn(VOCABULARY, HIDDEN), torch.arange(POSITIONS))
    assert [tuple(tensor.shape) for tensor in kept] == [(POSITIONS, HIDDEN)]


class Live(TorchDispatchMode):
    """Counts the bytes of what is made inside of it and is still there."""

    def __init__(self, *there: torch.Tensor) -> None:
        super().__init__()
        self.bytes = self.most = 0
        self._there = [tensor.untyped_storage() for tensor in there]
        self._seen = {storage._cdata for storage in self._there}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple) else (made,):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        self.most = max(self.most, self.bytes)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self.bytes += storage.nbytes()
            weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, address: int, size: int) -> None:
        self._seen.discard(address)
        self.bytes -= size


@pytest.mark.parametrize("form", [PLAIN, LogitForm(cap=30.0)], ids=["plain", "capped"])
@pytest.mark.parametrize("learns", [False, True], ids=["frozen", "learns"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_loss_takes_the_memory_that_is_planned(
    dtype: str, learns: bool, form: LogitForm, monkeypatch
):
    """Several blocks, none of which is there with another, forward and back."""
    vocabulary, hidden_size, tokens = 4000, 256, 256
    monkeypatch.setitem(planned.LOGITS_AT_ONCE, "cpu", 1)  # 64 positions
    head = {} if learns else {"method": "{kind: lora}"}
    run = spec(
        **{"method": "{kind: full}", "base_model__quantization": "none", **head},
        base_model__dtype=dtype,
        data__sequence__max_tokens=tokens,
    )
    shape = replace(SHAPES["llama-2-7b"], vocabulary=vocabulary, hidden=hidden_size)
    shape = replace(shape, has_logit_cap=form.cap is not None)
    torch_type = getattr(torch, dtype)
    hidden = torch.randn(tokens, hidden_size).to(torch_type).requires_grad_()
    weight = torch.randn(vocabulary, hidden_size).to(torch_type).requires_grad_(learns)
    targets = torch.randint(0, vocabulary, (tokens,))
    with Live(hidden, weight, targets) as live:
        projected = hidden + 0
        linear_cross_entropy(projected, weight, targets, form).backward()
    assert live.most == pytest.approx(planned.loss_bytes(run, shape), rel=0.02)
