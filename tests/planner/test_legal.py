import json
from pathlib import Path

import pytest

from loray.errors import ModelError
from loray.planner.configs import architecture_of
from loray.planner.legal import check_runnable, split_blocks
from loray.spec.load import parse_run_spec

CONFIG = {
    "model_type": "llama",
    "hidden_size": 96,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "head_dim": 16,
    "vocab_size": 300,
}


def check(folder: Path, *overrides: str) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG))
    text = f"""\
name: narrow
base_model: {{path: {folder}}}
data: {{sources: [{{kind: jsonl, uri: x, fields: {{text: t}}}}]}}
train: {{steps: 1}}
"""
    check_runnable(parse_run_spec(text, overrides=overrides))


def test_a_block_of_nf4_weights_that_spans_rows_is_found():
    found = split_blocks(architecture_of(CONFIG))
    assert found == [(name, 96) for name in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")]


def test_nf4_on_a_cpu_is_refused_where_the_kernel_misreads_it(tmp_path: Path):
    with pytest.raises(ModelError, match=r"q_proj of .* has 96 inputs.*use quantization: none"):
        check(tmp_path)


def test_the_remedies_work(tmp_path: Path):
    check(tmp_path, "base_model.quantization=none")
    check(tmp_path, "resources.gpus_per_worker=1")


def test_a_model_that_cannot_be_read_is_left_to_those_who_say_why(tmp_path: Path):
    text = f"""\
name: absent
base_model: {{path: {tmp_path / "absent"}}}
data: {{sources: [{{kind: jsonl, uri: x, fields: {{text: t}}}}]}}
train: {{steps: 1}}
"""
    check_runnable(parse_run_spec(text))


def test_a_model_whose_logits_are_capped_is_refused_before_it_is_trained(tmp_path: Path):
    (tmp_path / "config.json").write_text(
        json.dumps(CONFIG | {"model_type": "gemma2", "final_logit_softcapping": 30.0})
    )
    text = f"""\
name: capped
base_model: {{path: {tmp_path}}}
data: {{sources: [{{kind: jsonl, uri: x, fields: {{text: t}}}}]}}
train: {{steps: 1}}
"""
    with pytest.raises(ModelError, match="'gemma2'; loray knows how to count, train and serve"):
        check_runnable(parse_run_spec(text))


def test_a_pattern_that_fits_no_module_of_the_base_is_refused(tmp_path: Path):
    fits = "method.patterns=[{modules: layers.0.mlp.up_proj, rank: 4}]"
    misses = "method.patterns=[{modules: layers.1.mlp.up_proj, rank: 4}]"
    whole = ("base_model.quantization=none", "method.kind=lora")
    check(tmp_path, *whole, fits)
    with pytest.raises(ModelError, match=r"'layers.1.mlp.up_proj', which no module.*are 0 to 0"):
        check(tmp_path, *whole, misses)


def test_pissa_of_more_than_the_singular_values_is_refused(tmp_path: Path):
    whole = ("base_model.quantization=none", "serve.max_rank=256", "method.kind=lora")
    check(tmp_path, *whole, "method.init=pissa", "method.rank=64")  # q_proj is 64 x 96
    with pytest.raises(ModelError, match=r"self_attn\.\w+ has rank 65, but only 64 singular"):
        check(tmp_path, *whole, "method.init=pissa", "method.rank=65")
    check(tmp_path, *whole, "method.rank=65")


def test_eva_of_more_than_the_inputs_is_refused(tmp_path: Path):
    whole = ("base_model.quantization=none", "serve.max_rank=256", "method.kind=lora")
    check(tmp_path, *whole, "method.init=eva", "method.rank=64")
    with pytest.raises(ModelError, match=r"o_proj has rank 65, but only 64 inputs; use .* 64"):
        check(tmp_path, *whole, "method.init=eva", "method.rank=65")


def test_biases_are_refused_where_the_base_has_none(tmp_path: Path):
    whole = ("base_model.quantization=none", "method.kind=lora")
    with pytest.raises(ModelError, match=r"no bias there \(it has none\); use biases: none"):
        check(tmp_path, *whole, "method.biases=all")
    qwen = ("base_model.path=Qwen/Qwen2.5-7B", "base_model.revision=main", *whole)
    check(tmp_path, *qwen, "method.biases=targets")
    check(tmp_path, *qwen, "method.biases=all", "method.targets=mlp")
    with pytest.raises(ModelError, match=r"it has one in q_proj, k_proj, v_proj\); name these"):
        check(tmp_path, *qwen, "method.biases=targets", "method.targets=mlp")


def test_modules_in_full_are_refused_where_the_base_ties_them(tmp_path: Path):
    whole = ("base_model.quantization=none", "method.kind=lora")
    named = "method.modules_to_save=[lm_head]"
    check(tmp_path, *whole, named)
    tied = ("base_model.path=Qwen/Qwen2.5-0.5B", "base_model.revision=main")
    check(tmp_path, *whole, *tied)
    with pytest.raises(ModelError, match=r"embedding and output projection are one matrix"):
        check(tmp_path, *whole, *tied, named)
