"""Rows are those of the checklist of bad inputs in the threat model."""

import json
from pathlib import Path
from typing import Any

import pytest

from loray.models.adapter_config import parse_config
from tests.adapters import adapter_document, change, refused, write_adapter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"r": 0}, "'r' is 0"),
        ({"r": -1}, "'r' is -1"),
        ({"r": 1025}, "at most 1024"),
        ({"r": 10**30}, "at most 1024"),
        ({"r": "8"}, "'r' is '8'"),
        ({"r": 4.0}, "'r' is 4.0"),
        ({"r": True}, "'r' is True"),
        ({"r": None}, "'r' is None"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"lora_alpha": "16"}, "lora_alpha"),
        ({"lora_dropout": 1.0}, "lora_dropout"),
        ({"peft_type": "LOHA"}, "peft_type"),
        ({"r_max": 4}, "'r_max' is a key that PEFT 0.21 does not write"),
        ({"target_modules": "all-linear"}, "target_modules"),
        ({"target_modules": "(a+)+$"}, "target_modules"),
        ({"target_modules": ["(a+)+$"]}, "target_modules"),
        ({"target_modules": ["q_proj\n"]}, "target_modules"),
        ({"target_modules": []}, "target_modules"),
        ({"target_modules": None}, "target_modules"),
        ({"exclude_modules": ".*"}, "exclude_modules"),
        ({"modules_to_save": ["score"]}, "modules_to_save"),
        ({"layer_replication": [[0, 2], [0, 2]]}, "layer_replication"),
        ({"layers_pattern": "(a+)+$"}, "layers_pattern"),
        ({"rank_pattern": {"q_proj": 1025}}, "at most 1024"),
        ({"rank_pattern": {"q_proj": 0}}, "rank_pattern"),
        ({"rank_pattern": {"(a+)+$": 4}}, "rank_pattern"),
        ({"alpha_pattern": {"q.*": 4}}, "alpha_pattern"),
        ({"bias": "some"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"lora_bias": 0}, "lora_bias"),
        ({"use_qalora": True}, "use_qalora"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"loftq_config": {"loftq_bits": 4}}, "loftq_config"),
        ({"megatron_core": "os"}, "megatron_core"),
        ({"megatron_config": {}}, "megatron_config"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"revision": "main\x1b[2J"}, "revision"),
    ],
)
def test_row_11_a_config_that_is_no_plain_lora_is_refused(
    folder: Path, values: dict[str, Any], word: str
) -> None:
    change(folder, **values)
    refused(folder, word)


def test_row_11_every_fault_is_named_at_once(folder: Path) -> None:
    change(folder, r=0, bias=1, rr=1)
    refused(folder, "'r'", "'bias'", "'rr'")


@pytest.mark.parametrize("text", ['{"r": 4, "r": 8}', '{"lora_alpha": NaN}', "[" * 100_000, "\xff"])
def test_row_11_a_config_that_is_wild_json_is_refused(folder: Path, text: str) -> None:
    (folder / "adapter_config.json").write_text(text, encoding="latin-1")
    refused(folder, "adapter_config.json cannot be read as JSON")


@pytest.mark.parametrize(
    "mapping",
    [
        {"base_model_class": "Evil", "parent_library": "evil"},
        {"base_model_class": "Evil", "parent_library": "transformers_evil"},
        {"base_model_class": "a-b", "parent_library": "transformers"},
        {"base_model_class": "A", "parent_library": "transformers", "code": "x"},
        {"AutoModel": "modeling.Evil"},
    ],
)
def test_row_13_a_class_that_is_not_of_transformers_is_refused(
    folder: Path, mapping: dict[str, str]
) -> None:
    change(folder, auto_mapping=mapping)
    refused(folder, "auto_mapping")


@pytest.mark.parametrize("key", ["trust_remote_code", "auto_map"])
def test_row_13_keys_that_ask_for_code_are_refused(folder: Path, key: str) -> None:
    change(folder, **{key: True})
    refused(folder, key)


@pytest.mark.parametrize(
    ("values", "module", "rank", "scaling"),
    [
        ({}, "model.layers.0.mlp.up_proj", 4, 2.0),
        ({"use_rslora": True}, "x", 4, 4.0),
        ({"rank_pattern": {"up_proj": 2}}, "model.layers.0.mlp.up_proj", 2, 4.0),
        ({"rank_pattern": {"up_proj": 2}}, "model.layers.0.mlp.gate_up_proj", 4, 2.0),
        ({"rank_pattern": {"^up_proj": 2}}, "model.up_proj", 4, 2.0),
        ({"rank_pattern": {"^up_proj": 2}}, "up_proj", 2, 4.0),
        ({"alpha_pattern": {"layers.1.up": 2}}, "model.layers.1.up", 4, 0.5),
        ({"rank_pattern": {"a.up": 1, "up": 2}}, "b.a.up", 1, 8.0),
    ],
)
def test_rank_and_scaling_follow_pefts_patterns(
    values: dict[str, Any], module: str, rank: int, scaling: float
) -> None:
    document = adapter_document() | values
    config = parse_config(json.dumps(document).encode())
    assert (config.rank(module), config.scaling(module)) == (rank, scaling)


@pytest.mark.parametrize(
    ("layers", "hits"), [(None, (0, 1, 2)), ([], (0, 1, 2)), ([0, 2], (0, 2)), (1, (1,)), (0, (0,))]
)
def test_layers_to_transform_narrows_the_targets(layers: Any, hits: tuple[int, ...]) -> None:
    document = adapter_document() | {"layers_to_transform": layers}
    config = parse_config(json.dumps(document).encode())
    names = [f"model.layers.{n}.self_attn.q_proj" for n in range(3)]
    assert tuple(n for n in range(3) if config.is_target(names[n])) == hits
