"""What DoRA takes, against what autograd keeps of it and what a slot holds."""

import weakref
from pathlib import Path
from typing import Any

import pytest

from loray.planner.forms import dora_activation_bytes, gain_bytes
from loray.planner.parameters import read_architecture
from tests.train.sequences import make_spec

TOKENS = 256


def kept_bytes(spec: Any) -> int:
    """Bytes that a forward pass leaves for the backward one, parameters not counted."""
    import torch

    from loray.train.learner import build_learner

    learner = build_learner(spec, device="cpu")
    own = {p.untyped_storage().data_ptr() for p in learner.parameters()}
    seen: list[Any] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(weakref.ref(tensor))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = learner(torch.arange(TOKENS)[None] % 200).logits.sum()
    assert loss.requires_grad
    alive = [tensor for tensor in (ref() for ref in seen) if tensor is not None]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in alive}
    return sum(size for place, size in storages.items() if place not in own)


@pytest.mark.parametrize(
    ("quantization", "dropout"), [("none", 0.0), ("none", 0.1), ("nf4", 0.0), ("nf4", 0.1)]
)
@pytest.mark.filterwarnings("default")  # PEFT uses a name that transformers retires
def test_autograd_keeps_of_a_dora_what_is_planned(
    tiny_model_dir: Path, quantization: str, dropout: float
):
    plain, dora = (
        make_spec(
            tiny_model_dir,
            base_model__quantization=quantization,
            method__dropout=dropout,
            method__dora=is_dora,
        )
        for is_dora in (False, True)
    )
    shape = read_architecture(dora.base_model)
    planned = dora_activation_bytes(dora, shape, TOKENS, 4)
    assert kept_bytes(dora) - kept_bytes(plain) == pytest.approx(planned, rel=0.06)
    assert dora_activation_bytes(plain, shape, TOKENS, 4) == 0.0


def test_a_slots_gains_take_what_is_planned(tiny_model_dir: Path):
    import torch

    from loray.inference.lora import LayerWeights
    from loray.inference.wrapping import wrap
    from loray.models.load import load_base

    spec = make_spec(tiny_model_dir, base_model__quantization="none", method__dora=True)
    stack = wrap(load_base(spec.base_model), num_slots=2, max_rank=4)
    stack.fill(
        0,
        {
            name: LayerWeights(
                torch.zeros(layer.num_inputs, 1),
                torch.zeros(1, layer.num_outputs),
                torch.ones(layer.num_outputs),
            )
            for name, layer in stack.layers.items()
        },
    )
    held = sum(layer._gains._gains[0].nbytes for layer in stack.layers.values())
    assert held == gain_bytes(spec, read_architecture(spec.base_model))
