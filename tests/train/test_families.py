"""In every family a step learns from what plain transformers and PEFT would have it learn from."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from loray.models.adapter import attach_adapter
from loray.models.projections import projections
from loray.spec.train import LoraMethod
from loray.train.batches import IGNORED
from loray.train.loop import AnswerLoss
from tests.families import NAMES, WINDOW, build

ROWS = (2 * WINDOW + 3, WINDOW - 2, 3 * WINDOW)
"""Lengths of the rows that are packed, some longer than a window."""
METHOD = LoraMethod(rank=4, alpha=8, targets="all-linear")


def adapted(name: str, method: LoraMethod = METHOD, **changes: Any) -> Any:
    """A model of ours with an adapter that does something."""
    model = attach_adapter(build(name, **changes), method)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for path, weight in model.named_parameters():
            if ".lora_B." in path:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return model


def rows() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(0, 290, (1, length), generator=generator) for length in ROWS]


def packed() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The rows one after another: ids, labels of which each first one is masked, positions."""
    ids, positions = torch.cat(rows(), dim=1), torch.cat([torch.arange(n) for n in ROWS])[None]
    labels = ids.masked_fill(positions == 0, IGNORED)
    return ids, labels, positions


def plain_sum(model: Any) -> torch.Tensor:
    """Summed over all rows, each alone, by transformers' own forward and logits in full."""
    return sum(
        nn.functional.cross_entropy(model(ids).logits[0, :-1].float(), ids[0, 1:], reduction="sum")
        for ids in rows()
    )


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradients_of_packed_rows_are_those_of_rows_apart(name: str) -> None:
    model = adapted(name)
    plain = plain_sum(model)
    wanted = gradients(model, plain)
    loss = AnswerLoss(model.get_base_model())(*packed())
    found = gradients(model, loss)
    assert float(loss) == pytest.approx(float(plain), rel=1e-6)
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for path, gradient in wanted.items():
        assert gradient.any(), path
        torch.testing.assert_close(found[path], gradient, rtol=1e-4, atol=2e-6 * largest)


@pytest.mark.parametrize("name", NAMES)
def test_all_linear_is_what_peft_finds(name: str) -> None:
    ours = adapted(name)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = get_peft_model(build(name), config)
    assert {n for n, p in ours.named_parameters() if p.requires_grad} == {
        n for n, p in theirs.named_parameters() if p.requires_grad
    }


def test_attention_and_mlp_are_told_apart_in_fused_layers() -> None:
    assert projections(build("phi3")) == (("o_proj", "qkv_proj"), ("gate_up_proj", "down_proj"))
    both = projections(build("llama"))
    assert set(both[0]) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert set(both[1]) == {"gate_proj", "up_proj", "down_proj"}
