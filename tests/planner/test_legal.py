import json
from pathlib import Path

import pytest

from loray.cli.exits import Exit, exit_for
from loray.errors import ModelError, UnsupportedError
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


def refusal(folder: Path, config: dict[str, object], *overrides: str) -> UnsupportedError:
    (folder / "config.json").write_text(json.dumps(config))
    text = f"""\
name: refused
base_model: {{path: {folder}, quantization: none}}
data: {{sources: [{{kind: jsonl, uri: x, fields: {{text: t}}}}]}}
train: {{steps: 1}}
"""
    with pytest.raises(UnsupportedError) as found:
        check_runnable(parse_run_spec(text, overrides=overrides))
    return found.value


def test_a_kind_of_model_that_would_leak_is_refused_as_a_fault_of_the_spec(tmp_path: Path):
    error = refusal(tmp_path, CONFIG | {"model_type": "falcon"})
    assert "'falcon', which loray can neither train nor serve: its attention reaches" in str(error)
    assert exit_for(error) == Exit.WRONG_SPEC == 2


def test_a_target_that_the_base_does_not_have_is_refused_with_the_nearest(tmp_path: Path):
    error = refusal(tmp_path, CONFIG, "method={kind: lora, targets: [q_prj, up_proj]}")
    assert "method.targets names 'q_prj', which no linear layer" in str(error)
    assert "did you mean q_proj? it has q_proj, k_proj" in str(error)
    fused = refusal(
        tmp_path, CONFIG | {"model_type": "phi3"}, "method={kind: lora, targets: [q_proj]}"
    )
    assert "did you mean qkv_proj? it has qkv_proj, o_proj, gate_up_proj, down_proj" in str(fused)


@pytest.mark.parametrize("field", ["data.sequence.max_tokens", "serve.max_context"])
def test_more_positions_than_do_not_depend_on_the_batch_are_refused(tmp_path: Path, field: str):
    long = {
        "model_type": "phi3",
        "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 12, "long_factor": [2.0] * 12},
        "original_max_position_embeddings": 512,
        "max_position_embeddings": 8192,
    }
    fits = ("data.sequence.max_tokens=512", "serve.max_context=512", "serve.max_new_tokens=64")
    error = refusal(tmp_path, CONFIG | long, *fits, f"{field}=513")
    assert f"{field} is 513, but beyond 512 tokens the rotary embeddings" in str(error)
    assert "use at most 512" in str(error)


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
