"""A converted GGUF file is the model that it was made from, in every number and token."""

import json
from pathlib import Path

import pytest

from loray.errors import ModelError, UnsupportedError
from loray.models.pulling.convert import convert
from loray.models.pulling.gguf_header import read_header
from tests.models.pulling.gguf_files import VOCABULARY, gguf_name, tiny_model, write_gguf


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_a_converted_file_computes_what_its_model_did(kind: str, tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM

    model = tiny_model(kind)
    path = write_gguf(tmp_path / "a.gguf", model)
    assert convert(path, read_header(path), tmp_path / "made") == "float32"
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "made", dtype=torch.float32)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(made(ids).logits, model(ids).logits)
    assert "quantization_config" not in json.loads((tmp_path / "made/config.json").read_text())


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("Q8_0", "float32"), ("Q4_1", "float32"), ("F16", "float16"), ("BF16", "bfloat16")],
)
def test_weights_are_what_the_file_holds_in_the_narrowest_type(
    stored: str, dtype: str, tmp_path: Path
):
    import gguf
    import numpy as np
    import torch
    from safetensors.torch import load_file

    model = tiny_model()
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.data.fill_(1.0)  # in every type
    path = write_gguf(tmp_path / "a.gguf", model, stored=stored)
    assert convert(path, read_header(path), tmp_path / "made") == dtype
    held = {t.name: t for t in gguf.GGUFReader(path).tensors}
    made = load_file(tmp_path / "made/model.safetensors")
    assert {gguf_name(name) for name in made} == held.keys()
    for name, tensor in made.items():
        source = held[gguf_name(name)]
        meant = gguf.dequantize(source.data, source.tensor_type).astype(np.float32)
        if "q_proj" in name or "k_proj" in name:  # the order of their rows is the other test's
            assert sorted(tensor.float().flatten().tolist()) == sorted(meant.flatten().tolist())
        else:
            assert torch.equal(tensor.float(), torch.from_numpy(meant.copy()))


@pytest.mark.parametrize("split", ["smollm", "gpt-2"])
def test_text_is_split_as_the_vocabulary_was_learned(split: str, tmp_path: Path):
    from tokenizers import pre_tokenizers as pre
    from transformers import AutoTokenizer

    path = write_gguf(tmp_path / "a.gguf", tiny_model(), split=split)
    convert(path, read_header(path), tmp_path / "made")
    made = AutoTokenizer.from_pretrained(tmp_path / "made")
    plain = pre.ByteLevel(add_prefix_space=False)
    wanted = (
        pre.Sequence([pre.Digits(individual_digits=True), plain]) if split == "smollm" else plain
    )
    for text in ("the  2024 the", "x =   17", "it's 3.5\n\n  7th", "\u00bd 42"):
        pieces = made.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        assert pieces == wanted.pre_tokenize_str(text)
        assert made.decode(made(text).input_ids) == text
    assert made.convert_tokens_to_ids("<|im_end|>") == 2
    assert len(made) == len(VOCABULARY)


def test_a_type_that_cannot_hold_a_weight_is_refused(tmp_path: Path):
    model = tiny_model()
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = 1e6
    path = write_gguf(tmp_path / "a.gguf", model)
    with pytest.raises(ModelError, match=r"up_proj.weight holds a number that is infinite"):
        convert(path, read_header(path), tmp_path / "made", dtype="float16")


@pytest.mark.parametrize(
    ("keys", "split", "words"),
    [
        ({"llama.rope.scaling.factor": 8.0}, "smollm", "rope.scaling.factor, which would be left"),
        ({"llama.expert_count": 4.0}, "smollm", "expert_count"),
        ({"tensor": "rope_freqs.weight"}, "smollm", "rope_freqs.weight, which would be left out"),
        ({"tokenizer": "llama"}, "smollm", "byte-level BPE"),
        ({}, "jais", "the rule 'jais', which is not known"),
    ],
)
def test_what_would_be_left_out_is_refused(keys: dict, split: str, words: str, tmp_path: Path):
    path = write_gguf(tmp_path / "a.gguf", tiny_model(), keys=keys, split=split)
    with pytest.raises(UnsupportedError, match="cannot be converted exactly") as refused:
        read_header(path)
    assert words in str(refused.value)


@pytest.mark.parametrize("keep", [3, 40, 3000])
def test_a_file_that_is_cut_off_is_refused(keep: int, tmp_path: Path):
    path = write_gguf(tmp_path / "a.gguf", tiny_model())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="fetch it again"):
        read_header(path)
