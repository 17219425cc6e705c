import pytest
import torch
from torch import nn

from loray.inference import lora
from loray.inference.lora import (
    AdapterWeights,
    LayerWeights,
    LoraStack,
    SlottedLinear,
    dense_projection,
)
from loray.inference.rows import BASE

INPUTS, OUTPUTS, SLOTS, MAX_RANK = 24, 40, 7, 8
RANKS = [8, 3, 0, 1, 5, 2, 0]
DORA = (3, 4)
"""Slots that hold gains, too."""
BIASED = (4, 5, 6)
"""Slots that hold a bias in the base's place; one of them nothing else."""


def fill(found: LoraStack, slot: int, weights: LayerWeights | None) -> None:
    found.fill(slot, AdapterWeights({} if weights is None else {"layer": weights}))


def bias_of(slot: int) -> torch.Tensor | None:
    if slot not in BIASED:
        return None
    return torch.randn(OUTPUTS, generator=torch.Generator().manual_seed(slot))


def stack(dtype: torch.dtype = torch.float32) -> LoraStack:
    generator = torch.Generator().manual_seed(3)
    base = nn.Linear(INPUTS, OUTPUTS).to(dtype)
    layer = SlottedLinear(
        base,
        dense_projection(base.weight.detach(), base.bias.detach()),
        (SLOTS, MAX_RANK),
        torch.empty(0),
    )
    found = LoraStack({"layer": layer})
    for slot, rank in enumerate(RANKS):
        a = torch.randn(INPUTS, rank, generator=generator)
        b = torch.randn(rank, OUTPUTS, generator=generator)
        gain = 1 + torch.randn(OUTPUTS, generator=generator) / 2 if slot in DORA else None
        weights = LayerWeights(a, b, gain, bias_of(slot))
        fill(found, slot, weights if rank or slot in BIASED else None)
    return found


def one_by_one(layer: SlottedLinear, x: torch.Tensor, slots: list[int]) -> torch.Tensor:
    """The definition, y = g W x + bias + B A x, row after row in float64; the slot has the bias."""
    rows = []
    for row, slot in zip(x.double(), slots, strict=True):
        gain = layer._gains._gains._values[slot].double() if slot in DORA else 1.0
        bias = layer.base.bias if slot not in BIASED else bias_of(slot)
        y = gain * (row @ layer.base.weight.double().T) + bias.double()
        if slot != BASE:
            y = y + row @ layer.a[slot].double() @ layer.b[slot].double()
        rows.append(y)
    return torch.stack(rows)


BATCHES = {
    "base": [BASE] * 4,
    "one": [1] * 4,
    "one beside the base": [1, BASE, 1, BASE],
    "all": [4, 0, 3, 1, BASE, 2, 0, 4],
    "an adapter that leaves the layer alone": [2, 2],
    "a DoRA": [3],
    "a DoRA in every row": [4] * 3,
    "a DoRA beside the base": [BASE, 3],
    "no DoRA": [1, 0, 0, BASE],
    "a bias": [5],
    "a bias alone": [6, 6],
    "a bias alone beside the base": [6, BASE],
    "biases, a DoRA and others": [5, 3, 6, 0, BASE, 4, 2, 6],
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("way", ["decode by copies", "decode by adapter", "prefill"])
def test_every_way_of_computing_equals_the_definition(name, way, monkeypatch):
    if way == "decode by adapter":
        monkeypatch.setattr(lora, "ELEMENTS_PER_ADAPTER", -1)
    slots = sorted(BATCHES[name]) if way == "prefill" else BATCHES[name]
    found = stack()
    x = torch.randn(len(slots), 7 if way == "prefill" else 1, INPUTS)
    found.set_rows(slots, is_prefill=way == "prefill")
    with torch.inference_mode():
        y = found.layers["layer"](x)
    assert torch.allclose(y.double(), one_by_one(found.layers["layer"], x, slots), atol=1e-4)


def test_the_ways_are_those_that_the_table_says(monkeypatch):
    found = stack()
    layer = found.layers["layer"]

    def chosen(slots, *, is_prefill=False):
        found.set_rows(slots, is_prefill=is_prefill)
        return type(layer._update).__name__

    assert chosen([BASE, BASE]) == "NoneType"
    assert chosen([2, BASE]) == "NoneType"
    assert chosen([1, 1]) == "_Whole"
    assert chosen([0, 1]) == "_Copied"
    assert chosen([0, 3]) == chosen([0, 6]) == chosen([6, 6]) == "_Moved"
    assert chosen([0, 1], is_prefill=True) == "_ByRun"
    monkeypatch.setattr(lora, "ELEMENTS_PER_ADAPTER", 8 * (INPUTS + OUTPUTS))
    assert chosen([0, 1, 1]) == "_Copied"
    assert chosen([0, BASE, 0]) == "_ByRun"
    monkeypatch.setattr(lora, "MAX_COPIED_BYTES", 100)
    assert chosen([1, 0]) == "_ByRun"


@pytest.mark.parametrize("way", ["decode by copies", "decode by adapter", "prefill"])
def test_a_bf16_base_gets_a_float32_update_rounded_once(way, monkeypatch):
    if way == "decode by adapter":
        monkeypatch.setattr(lora, "ELEMENTS_PER_ADAPTER", -1)
    slots, found = [0, 1, 3, 4, 5, 6], stack(torch.bfloat16)
    x = torch.randn(6, 1, INPUTS).bfloat16()
    found.set_rows(slots, is_prefill=way == "prefill")
    y = found.layers["layer"](x)
    wanted = one_by_one(found.layers["layer"], x, slots)
    assert y.dtype == torch.bfloat16
    # Two roundings to 8 bits: of the base's product, and of the sum.
    assert ((y.double() - wanted).abs() <= wanted.abs() * 2**-8 + 0.05).all()


def test_a_refilled_slot_keeps_nothing_of_the_adapter_before():
    found = stack()
    layer = found.layers["layer"]
    a, b = torch.randn(INPUTS, 1), torch.randn(1, OUTPUTS)
    found.set_rows([0, 1], is_prefill=False)
    fill(found, 0, LayerWeights(a, b))
    x = torch.randn(2, 1, INPUTS)
    found.set_rows([0, 1], is_prefill=False)
    update = (layer(x) - nn.functional.linear(x, layer.base.weight, layer.base.bias))[0]
    assert torch.allclose(update, x[0] @ a @ b, atol=1e-4)
    assert not layer.a[0, :, 1:].any()
    assert not layer.b[0, 1:].any()
    fill(found, 0, None)
    found.set_rows([0, 0], is_prefill=False)
    assert layer._update is None
    assert torch.equal(layer(x), nn.functional.linear(x, layer.base.weight, layer.base.bias))


def test_gains_and_shifts_are_kept_only_while_a_slot_has_some():
    found = stack()
    layer = found.layers["layer"]
    gains, shifts = layer._gains._gains, layer._gains._shifts
    assert torch.equal(gains._values[:3], torch.ones(3, OUTPUTS))
    fill(found, 3, None)
    assert torch.equal(gains._values[3], torch.ones(OUTPUTS))
    assert torch.equal(shifts._values[3], torch.zeros(OUTPUTS))
    fill(found, 4, LayerWeights(torch.randn(INPUTS, 2), torch.randn(2, OUTPUTS)))
    assert gains._values is None
    assert shifts._values is not None
    x = torch.randn(2, 1, INPUTS)
    found.set_rows([3, 4], is_prefill=False)
    assert torch.allclose(layer(x)[0], layer.base(x[0]), atol=1e-6)
    fill(found, 5, None)
    fill(found, 6, None)
    assert shifts._values is None


def test_rows_beside_a_dora_get_the_very_bits_that_they_get_without_one():
    found = stack()
    x = torch.randn(4, 1, INPUTS)
    found.set_rows([0, BASE, 1, 3], is_prefill=False)
    beside = found.layers["layer"](x)
    fill(found, 3, LayerWeights(torch.randn(INPUTS, 1), torch.randn(1, OUTPUTS)))
    for slot in BIASED:
        fill(found, slot, None)
    found.set_rows([0, BASE, 1, 3], is_prefill=False)
    assert torch.equal(found.layers["layer"](x)[:3], beside[:3])
