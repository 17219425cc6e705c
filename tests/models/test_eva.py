"""EVA's directions, against a decomposition of all inputs at once and against PEFT's own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from loray.errors import ModelError
from loray.models.eva import Directions, source_of, take_directions, watched_inputs
from loray.spec.train import BaseModelSpec, LoraMethod

SEQUENCES = [torch.arange(20 + 7 * at, 140 + 7 * at)[None] % 300 for at in range(8)]


def decaying(count: int, width: int, *, power: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Rows whose singular values fall like a power of 1 / n, in directions of no axis."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.arange(1, width + 1) ** -power
    turned = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    return (torch.randn(count, width, generator=generator) * scales) @ turned


def kept(rows: torch.Tensor, directions: torch.Tensor) -> float:
    """The share of the rows' squares that lies in some orthonormal directions."""
    rows = rows.double()
    return float((rows @ directions.double().T).square().sum() / rows.square().sum())


def best(rows: torch.Tensor, rank: int) -> torch.Tensor:
    return torch.linalg.svd(rows.double(), full_matrices=False).Vh[:rank]


def test_of_rows_that_fit_at_once_they_are_the_singular_vectors():
    rows = decaying(200, 48)
    found = Directions(6)
    found.add(rows)
    overlap = found.first(6) @ best(rows, 6).T
    assert torch.allclose(overlap.abs(), torch.eye(6, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0])
def test_of_rows_that_come_one_after_another_they_keep_as_much_as_those_of_all_together(
    power: float,
):
    rows = decaying(3000, 256, power=power)
    found = Directions(8)
    for some in rows.split(170):
        found.add(some)
    first = found.first(8)
    assert torch.allclose(first @ first.T, torch.eye(8, dtype=torch.float64), atol=1e-6)
    most = kept(rows, best(rows, 8))
    assert 0.999 * most < kept(rows, first) <= most + 1e-12
    # Its own first directions are the best of that number, too.
    assert kept(rows, found.first(3)) > 0.999 * kept(rows, best(rows, 3))
    assert kept(rows, torch.eye(256)[:8]) < 0.7 * most  # the counter-proof: others do not


def test_the_signs_do_not_depend_on_how_a_decomposition_chose_them():
    found = Directions(4)
    found.add(decaying(100, 32))
    one = found.first(4)
    found._kept.neg_()
    assert torch.equal(found.first(4), one)
    assert all(row[row.abs().argmax()] > 0 for row in one)


def test_rows_of_few_directions_have_no_more_of_them():
    found = Directions(5)
    found.add(decaying(300, 3) @ torch.randn(3, 40))
    assert found.first(5).shape == (3, 40)


def test_layers_that_read_the_same_share_it():
    names = [f"layers.{n}.{m}" for n in (0, 1) for m in ("self_attn.k_proj", "self_attn.v_proj")]
    names += ["layers.0.mlp.up_proj", "layers.0.mlp.gate_proj", "layers.0.mlp.down_proj"]
    assert source_of("layers.1.self_attn.v_proj", names) == "layers.1.self_attn.k_proj"
    assert source_of("layers.0.mlp.gate_proj", names) == "layers.0.mlp.up_proj"
    assert source_of("layers.0.mlp.down_proj", names) == "layers.0.mlp.down_proj"


def begun(folder: Path, *, quantization: str = "none", **method: Any) -> Any:
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    base = load_base(BaseModelSpec(path=str(folder), quantization=quantization, dtype="float32"))
    return attach_adapter(base, LoraMethod(**{"rank": 4, "init": "eva"} | method)).eval()


def inputs_of(model: Any) -> dict[str, torch.Tensor]:
    """What each adapted layer reads, all of it (N, I)."""
    from loray.models.adapter import lora_layers

    found: dict[str, list[torch.Tensor]] = {}
    handles = [
        layer.register_forward_hook(
            lambda _, inputs, __, name=name: found.setdefault(name, []).append(inputs[0][0])
        )
        for name, layer in lora_layers(model)
    ]
    with torch.no_grad():
        for ids in SEQUENCES:
            model(ids)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


def taken(model: Any) -> dict[str, torch.Tensor]:
    """Every layer's A, after EVA."""
    from loray.models.adapter import lora_layers

    layers = dict(lora_layers(model))
    with torch.no_grad(), watched_inputs(layers) as found:
        for ids in SEQUENCES:
            model(ids)
    take_directions(layers, found)
    return {name: layer.lora_A["default"].weight.detach() for name, layer in layers.items()}


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_every_layer_begins_where_its_own_inputs_are_largest(
    tiny_model_dir: Path, quantization: str
):
    patterns = ({"modules": "k_proj", "rank": 7}, {"modules": "layers.1.mlp.up_proj", "rank": 2})
    model = begun(tiny_model_dir, quantization=quantization, patterns=patterns)
    inputs, weights = inputs_of(model), taken(model)
    assert len(weights) == 14
    for name, a in weights.items():
        assert len(a) == {"k_proj": 7, "up_proj": 2 if ".1." in name else 4}.get(
            name.rpartition(".")[2], 4
        )
        assert torch.allclose(a @ a.T, torch.eye(len(a)), atol=1e-5)
        most = kept(inputs[name], best(inputs[name], len(a)))
        assert kept(inputs[name], a) == pytest.approx(most, rel=1e-3)
    layers = model.get_base_model().named_modules()
    assert not any(m.lora_B["default"].weight.any() for _, m in layers if hasattr(m, "lora_B"))


def test_nothing_is_left_in_the_model_and_it_still_computes_what_the_base_does(
    tiny_model_dir: Path,
):
    from loray.models.load import load_base

    spec = BaseModelSpec(path=str(tiny_model_dir), quantization="none", dtype="float32")
    model = begun(tiny_model_dir)
    taken(model)
    assert not any(module._forward_pre_hooks for module in model.modules())
    with torch.no_grad():
        wanted = load_base(spec)(SEQUENCES[0]).logits
        assert torch.equal(model(SEQUENCES[0]).logits, wanted)


@pytest.mark.filterwarnings("ignore")  # PEFT's own
def test_it_keeps_of_the_inputs_no_less_than_pefts_own(tiny_model_dir: Path):
    """PEFT's are centred, and of as many passes as it takes until they move no more."""
    from peft import EvaConfig, LoraConfig, get_peft_model, initialize_lora_eva_weights

    from loray.models.adapter import lora_layers
    from loray.models.load import load_base

    spec = BaseModelSpec(path=str(tiny_model_dir), quantization="none", dtype="float32")
    config = LoraConfig(
        r=4,
        target_modules=["q_proj", "down_proj"],
        init_lora_weights="eva",
        eva_config=EvaConfig(rho=1.0),
        task_type="CAUSAL_LM",
    )
    theirs = get_peft_model(load_base(spec), config)
    batches = [{"input_ids": ids} for ids in SEQUENCES]
    initialize_lora_eva_weights(theirs, batches, show_progress_bar=False)
    model = begun(tiny_model_dir, targets=("q_proj", "down_proj"))
    inputs, ours = inputs_of(model), taken(model)
    for name, layer in lora_layers(theirs):
        a = layer.lora_A["default"].weight.detach()
        assert torch.allclose(a @ a.T, torch.eye(4), atol=1e-4)
        assert kept(inputs[name], ours[name]) > kept(inputs[name], a) - 1e-4
        centred = inputs[name] - inputs[name].mean(0)
        assert kept(centred, a) > 0.8 * kept(centred, best(centred, 4))


def test_inputs_of_too_few_directions_are_refused(tiny_model_dir: Path):
    from loray.models.adapter import lora_layers

    model = begun(tiny_model_dir, rank=8)
    layers = dict(lora_layers(model))
    with torch.no_grad(), watched_inputs(layers) as found:
        model(SEQUENCES[0][:, :5])
    with pytest.raises(ModelError, match=r"has rank 8, but its inputs .* only 5 directions"):
        take_directions(layers, found)
