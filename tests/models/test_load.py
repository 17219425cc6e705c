import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loray.errors import ModelError
from loray.models.load import load_base
from loray.quickstart.initialise import write_random_model
from loray.spec.train import BaseModelSpec


def write(folder: Path, *, hidden: int) -> str:
    write_random_model(
        folder,
        vocab_size=300,
        hidden_size=hidden,
        layers=1,
        heads=4,
        kv_heads=2,
        intermediate=128,
        max_positions=64,
        seed=0,
    )
    return str(folder)


def test_nf4_weights_are_near_those_they_stand_for(tmp_path: Path):
    """Every projection, read back; NF4's own error is 0.09 of the norm of normal weights."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    path = write(tmp_path / "model", hidden=64)
    exact = load_base(BaseModelSpec(path=path, quantization="none", dtype="float32"))
    packed = load_base(BaseModelSpec(path=path, quantization="nf4", dtype="float32"))
    weights = dict(exact.named_parameters())
    errors = {}
    for name, module in packed.named_modules():
        if isinstance(module, Linear4bit):
            found = dequantize_4bit(module.weight.data, module.weight.quant_state)
            wanted = weights[f"{name}.weight"]
            errors[name] = float(torch.norm(found - wanted) / torch.norm(wanted))
    assert len(errors) == 7
    assert max(errors.values()) < 0.12, errors


def test_nf4_computes_in_the_type_that_was_asked_for(tmp_path: Path):
    """In evaluation mode too, where a CPU with AVX512-BF16 would compute in bfloat16."""
    from bitsandbytes.functional import dequantize_4bit

    path = write(tmp_path / "model", hidden=64)
    model = load_base(BaseModelSpec(path=path, quantization="nf4", dtype="float32"))
    layer = model.get_submodule("model.layers.0.mlp.up_proj")
    x = torch.randn(3, 64)
    with torch.inference_mode():
        found = layer(x)
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    torch.testing.assert_close(found, x @ weight.T, rtol=1e-5, atol=1e-6)


def test_rows_that_a_cpu_would_misread_in_nf4_are_refused(tmp_path: Path):
    path = write(tmp_path / "model", hidden=96)
    with pytest.raises(ModelError, match=r"q_proj of .* has 96 inputs.*no multiple of 64"):
        load_base(BaseModelSpec(path=path, quantization="nf4", dtype="float32"))
    assert load_base(BaseModelSpec(path=path, quantization="none", dtype="float32"))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux tells what is mapped")
def test_nf4_leaves_no_file_mapped_whose_weights_it_has_packed(tmp_path: Path):
    write_random_model(tmp_path, hidden_size=64, intermediate=128, dtype="bfloat16")
    maps, file = Path("/proc/self/maps"), str(tmp_path / "model.safetensors")
    plain = load_base(BaseModelSpec(path=str(tmp_path), quantization="none"))
    assert file in maps.read_text(encoding="utf-8")  # its pages are the weights
    del plain
    packed = load_base(BaseModelSpec(path=str(tmp_path), quantization="nf4"))
    assert file not in maps.read_text(encoding="utf-8")
    assert packed.get_input_embeddings().weight.dtype == torch.bfloat16


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_files_that_lack_a_weight_are_refused(tmp_path: Path, quantization: str):
    """transformers would begin with random numbers there, and warn."""
    path = write(tmp_path / "model", hidden=64)
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    spec = BaseModelSpec(path=path, quantization=quantization, dtype="float32")
    with pytest.raises(ModelError, match=r"lack model\.layers\.0\.mlp\.up_proj\.weight; wanted"):
        load_base(spec)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("name", ["layers.0.mlp.up_proj", "layers.0.input_layernorm"])
def test_a_weight_of_another_shape_is_refused_by_its_name(
    tmp_path: Path, quantization: str, name: str
):
    """In NF4 transformers packs whatever shape there is, and says nothing."""
    path = write(tmp_path / "model", hidden=64)
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    weight = tensors[f"model.{name}.weight"]
    tensors[f"model.{name}.weight"] = weight[:-28].clone()
    save_file(tensors, file, metadata={"format": "pt"})
    spec = BaseModelSpec(path=path, quantization=quantization, dtype="float32")
    found = re.escape(str(tuple(weight[:-28].shape)))
    with pytest.raises(ModelError, match=rf"{name}\.weight of .* has the shape {found}; wanted"):
        load_base(spec)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_layer_that_the_config_does_not_know_is_refused(tmp_path: Path, quantization: str):
    path = write(tmp_path / "model", hidden=64)
    config = tmp_path / "model" / "config.json"
    changed = json.loads(config.read_text()) | {"num_hidden_layers": 0}
    config.write_text(json.dumps(changed))
    spec = BaseModelSpec(path=path, quantization=quantization, dtype="float32")
    with pytest.raises(ModelError, match=r"hold model\.layers\.0\..* and 6 more, which the model"):
        load_base(spec)


def test_a_file_that_is_cut_off_is_refused_with_the_remedy(tmp_path: Path):
    path = write(tmp_path / "model", hidden=64)
    file = tmp_path / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"cannot be loaded: .*; wanted a folder with"):
        load_base(BaseModelSpec(path=path, quantization="none", dtype="float32"))


def test_a_base_that_is_stored_in_four_bits_is_read_as_it_is_and_so_named(tmp_path: Path):
    path = write(tmp_path / "model", hidden=64)
    packed = load_base(BaseModelSpec(path=path, quantization="nf4", dtype="float32"))
    packed.save_pretrained(tmp_path / "packed")
    ids, path = torch.arange(12)[None], str(tmp_path / "packed")
    again = load_base(BaseModelSpec(path=path, quantization="nf4", dtype="float32"))
    with torch.inference_mode():
        assert torch.equal(again(ids).logits, packed(ids).logits)
    with pytest.raises(ModelError, match=r"hold quantized weights, but .*use quantization: nf4"):
        load_base(BaseModelSpec(path=path, quantization="none", dtype="float32"))


@pytest.mark.parametrize(
    "nonsense",
    [
        {"hidden_act": "wibble"},
        {"initializer_range": "x"},
        {"rope_parameters": {"rope_type": "wibble"}},
        {"rope_parameters": {"rope_type": "linear"}},
    ],
)
def test_a_config_that_transformers_cannot_build_is_an_error_of_the_model(
    tmp_path: Path, nonsense: dict[str, object]
):
    path = Path(write(tmp_path / "model", hidden=64)) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | nonsense))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_base(BaseModelSpec(path=str(path.parent), quantization="none", dtype="float32"))


def test_activations_and_rotary_scalings_are_those_of_transformers():
    from transformers.activations import ACT2FN
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from loray.planner.base_rope import ROPE_KEYS
    from loray.planner.base_values import ACTIVATIONS

    assert set(ACTIVATIONS) == set(ACT2FN)
    assert set(ROPE_KEYS) == {"default", *ROPE_INIT_FUNCTIONS}
