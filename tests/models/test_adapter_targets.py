"""Targets, ranks and alphas by expressions are those that PEFT itself finds over the base."""

import json
from pathlib import Path
from typing import Any

import pytest

from loray.errors import AdapterError
from loray.models.adapter_config import parse_config
from loray.models.adapter_targets import in_plain_names, needs_base
from loray.models.base_modules import BaseModules, read_base_modules
from loray.models.expressions import Expression, hits
from tests.adapters import adapter_document
from tests.bases import write_base
from tests.registry.foreign_adapters import UNSLOTH

OPTIONS: dict[str, dict[str, Any]] = {
    "expression": {"target_modules": r".*\.(q|v)_proj"},
    "of some layers": {"target_modules": r"model\.layers\.[1-2]\.mlp\.\w+_proj"},
    "Unsloth": {"target_modules": UNSLOTH},
    "with the head": {"target_modules": r".*(q_proj|lm_head)"},
    "excluded": {"target_modules": r".*_proj", "exclude_modules": r".*\.[02]\..*"},
    "excluded by name": {"target_modules": r".*_proj", "exclude_modules": ["mlp.up_proj"]},
    "ranks": {
        "target_modules": ["q_proj", "up_proj", "down_proj"],
        "rank_pattern": {r".*\.0\..*": 2, "up_proj": 3, r"layers\.\d+\.mlp": 9, "^down_proj": 7},
        "alpha_pattern": {r"(up|down)_proj": 1, r".*": 5},
    },
    "layers": {
        "target_modules": ["q_proj", "model.layers.0.mlp.up_proj"],
        "layers_to_transform": [1, 2], "layers_pattern": ["h", "layers"],
    },
    "layers by an expression": {
        "target_modules": ["q_proj"], "layers_to_transform": 2, "layers_pattern": "la.*s",
    },
    "saved in full": {"target_modules": r".*(q_proj|lm_head)", "modules_to_save": ["lm_head"]},
}  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> BaseModules:
    return read_base_modules(write_base(tmp_path / "base", num_hidden_layers=3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPTIONS)
def test_plain_names_are_those_of_peft(base: BaseModules, tmp_path: Path, name: str) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    options = OPTIONS[name]
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"),
        LoraConfig(r=4, lora_alpha=8, **options),
    )
    wanted = {
        path.removeprefix("base_model.model."): module
        for path, module in model.named_modules()
        if hasattr(module, "lora_A") and not path.endswith(".lora_A")
    }
    document = adapter_document() | options
    assert needs_base(document)
    config = parse_config(json.dumps(in_plain_names(document, base)).encode())
    assert set(config.target_modules) == set(wanted)
    for path, module in wanted.items():
        assert config.rank(path) == module.r["default"]
        assert config.scaling(path) == pytest.approx(module.scaling["default"], rel=1e-12)


def test_a_name_that_is_listed_in_whole_is_taken_in_any_layer() -> None:
    values = {"target_modules": ["q_proj", "model.layers.0.up"], "layers_to_transform": [1]}
    config = parse_config(json.dumps(adapter_document() | values).encode())
    names = ["model.layers.0.up", "model.layers.1.up", "model.layers.0.q_proj"]
    assert [config.is_target(name) for name in names] == [True, False, False]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"target_modules": "(q"}, "not a regular expression"),
        ({"target_modules": "q_proj"}, "matches no module"),
        ({"target_modules": ".*norm"}, "which is not a linear layer"),
        ({"target_modules": "a" * 30_000}, "20,000 are taken"),
        ({"target_modules": ".*q_proj", "rank_pattern": {"a{99999999999}": 2}}, "rank_pattern"),
    ],
)
def test_expressions_that_cannot_be_meant_are_refused(
    base: BaseModules, values: dict[str, Any], word: str
) -> None:
    with pytest.raises(AdapterError, match=word):
        in_plain_names(adapter_document() | values, base)


def test_an_expression_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loray.models.expressions.SECONDS", 0.5)
    with pytest.raises(AdapterError, match="target_modules takes longer than"):
        hits([Expression("fullmatch", "(a+)+$", "target_modules")], ["a" * 60 + "b"])
