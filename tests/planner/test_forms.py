"""What DoRA takes, against what autograd keeps of it and what a slot holds."""

import weakref
from pathlib import Path
from typing import Any

import pytest

from loray.planner.configs import read_architecture
from loray.planner.forms import (
    checkpoint_bytes,
    count_begun,
    dora_activation_bytes,
    gain_bytes,
)
from loray.planner.memory import adapter_bytes, count_learned
from loray.planner.serving import serve_memory
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


@pytest.mark.parametrize(
    ("is_biased", "method"),
    [(False, {"dora": True}), (True, {"dora": True}), (True, {"biases": "all"})],
    ids=["DoRA", "DoRA over biases", "biases"],
)
def test_a_slots_gains_and_shifts_take_what_is_planned(
    tiny_model_dir: Path, biased_model_dir: Path, is_biased: bool, method: dict[str, Any]
):
    import torch

    from loray.inference.lora import AdapterWeights, LayerWeights
    from loray.inference.wrapping import wrap
    from loray.models.load import load_base

    folder = biased_model_dir if is_biased else tiny_model_dir
    spec = make_spec(folder, base_model__quantization="none", method={"kind": "lora", **method})
    stack = wrap(load_base(spec.base_model), num_slots=2, max_rank=4)
    weights = {
        name: LayerWeights(
            torch.zeros(layer.num_inputs, 1),
            torch.zeros(1, layer.num_outputs),
            torch.ones(layer.num_outputs) if method.get("dora") else None,
            None if layer.base.bias is None else torch.ones(layer.num_outputs),
        )
        for name, layer in stack.layers.items()
    }
    stack.fill(0, AdapterWeights(weights))
    kept = [
        part._values[0].nbytes
        for layer in stack.layers.values()
        for part in (layer._gains._gains, layer._gains._shifts)
        if part._values is not None
    ]
    assert sum(kept) == gain_bytes(spec, read_architecture(spec.base_model))
    assert kept


@pytest.mark.filterwarnings("default")  # PEFT uses a name that transformers retires
@pytest.mark.parametrize("names", [(), ("lm_head",), ("lm_head", "embed_tokens")])
def test_modules_in_full_are_counted_in_training_and_in_every_slot(
    biased_model_dir: Path, names: tuple[str, ...]
):
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    method = {"kind": "lora", "rank": 4, "modules_to_save": names}
    spec = make_spec(biased_model_dir, base_model__quantization="none", method=method)
    plain = make_spec(biased_model_dir, base_model__quantization="none")
    shape = read_architecture(spec.base_model)
    adapted = attach_adapter(load_base(spec.base_model), spec.method)
    learned = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert learned == count_learned(spec, shape)
    extra = len(names) * 300 * 64
    assert learned == count_learned(plain, shape) + extra
    assert adapter_bytes(spec, shape, shape) == adapter_bytes(plain, shape, shape) + 4 * extra
    more = serve_memory(spec, shape)["slots"] - serve_memory(plain, shape)["slots"]
    assert more == (spec.serve.slots + 1) * 4 * extra  # one is on its way


def test_a_pissa_is_saved_twice_but_not_what_learns_beside_it(biased_model_dir: Path):
    whole = {"base_model__quantization": "none"}
    others = {"biases": "all", "modules_to_save": ("lm_head",)}
    pissa, both, plain = (
        make_spec(biased_model_dir, method={"kind": "lora", "rank": 4, **method}, **whole)
        for method in ({"init": "pissa"}, {"init": "pissa", **others}, others)
    )
    shape = read_architecture(pissa.base_model)
    factors = count_learned(pissa, shape)
    assert count_begun(pissa, shape) == count_begun(both, shape) == factors
    assert count_begun(plain, shape) == 0
    width = 4
    saved = checkpoint_bytes(both, shape, count_learned(both, shape), width)
    assert saved - checkpoint_bytes(plain, shape, count_learned(plain, shape), width) == (
        factors * width
    )
