"""The size of an adapter's file is planned to the byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from loray.planner.adapter_file import adapter_file_bytes
from loray.planner.configs import architecture_of
from loray.spec.load import parse_run_spec

METHODS: dict[str, dict[str, Any]] = {
    "plain": {"rank": 8},
    "attention": {"rank": 3, "targets": ["q_proj", "v_proj"]},
    "DoRA": {"rank": 4, "dora": True},
    "patterns": {"rank": 4, "patterns": [{"modules": "layers.1.mlp.up_proj", "rank": 7}]},
    "biases": {"rank": 4, "targets": ["q_proj"], "biases": "all"},
    "in full": {"rank": 4, "modules_to_save": ["lm_head", "embed_tokens"]},
    "PiSSA": {"rank": 4, "init": "pissa"},
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", METHODS)
def test_the_file_that_is_written_is_as_large_as_planned(
    biased_model_dir: Path, tmp_path: Path, name: str, dtype: str
) -> None:
    from loray.models.adapter import adapter_tensors, attach_adapter, save_adapter, saved_form
    from loray.models.load import load_base

    method = json.dumps({"kind": "lora", "alpha": 8, **METHODS[name]})
    spec = parse_run_spec(
        f"name: x\nbase_model: {{path: {biased_model_dir}, dtype: {dtype}, quantization: none}}\n"
        "data: {sources: [{kind: jsonl, uri: r, fields: {text: t}}]}\n"
        f"train: {{steps: 1}}\nmethod: {method}\n"
    )
    model = attach_adapter(load_base(spec.base_model), spec.method)
    config, tensors = saved_form(model, adapter_tensors(model))
    save_adapter(config, tensors, tmp_path / "adapter", base="x")
    shape = architecture_of(json.loads((biased_model_dir / "config.json").read_text()))
    size = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert adapter_file_bytes(spec, shape) == size


def test_a_full_training_makes_no_such_file(biased_model_dir: Path) -> None:
    spec = parse_run_spec(
        f"name: x\nbase_model: {{path: {biased_model_dir}, quantization: none}}\n"
        "data: {sources: [{kind: jsonl, uri: r, fields: {text: t}}]}\n"
        "train: {steps: 1}\nmethod: {kind: full}\n"
    )
    shape = architecture_of(json.loads((biased_model_dir / "config.json").read_text()))
    assert adapter_file_bytes(spec, shape) is None
