"""Bases of types that are not tested are counted by the headers of their files."""

import json
from pathlib import Path
from typing import Any

import pytest

from loray.errors import ModelError, UnsupportedError
from loray.planner.configs import read_architecture
from loray.planner.legal import check_runnable
from loray.planner.parameters import count_base, count_method
from loray.planner.report import forecast
from loray.spec.train import BaseModelSpec, LoraMethod
from tests.families import SHAPE
from tests.planner.shapes import spec

pytestmark = pytest.mark.filterwarnings("default")  # PEFT uses a name that transformers retires
KINDS: dict[str, dict[str, Any]] = {
    "starcoder2": {"use_bias": True, "tie_word_embeddings": True},
    "stablelm": {"tie_word_embeddings": False},
    "gpt_neox": {"num_key_value_heads": None, "tie_word_embeddings": False},
    "olmo": {"tie_word_embeddings": False},
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from transformers import AutoConfig, AutoModelForCausalLM

    found = {}
    for kind, own in KINDS.items():
        given = {k: v for k, v in {**SHAPE, **own}.items() if v is not None}
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **given))
        found[kind] = tmp_path_factory.mktemp("bases") / kind
        model.save_pretrained(found[kind], max_shard_size="100KB")
    return found


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "olmo"])
def test_parameters_are_counted_to_the_unit(bases: dict[str, Path], kind: str) -> None:
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    base = BaseModelSpec(path=str(bases[kind]), quantization="none", dtype="float32")
    shape = read_architecture(base)
    model = load_base(base)
    assert sum(p.numel() for p in model.parameters()) == count_base(shape).total
    for targets in ("all-linear", "attention", "mlp"):
        method = LoraMethod(rank=4, targets=targets)
        adapted = attach_adapter(load_base(base), method)
        learned = {n: p.numel() for n, p in adapted.named_parameters() if p.requires_grad}
        assert sum(learned.values()) == count_method(shape, method)
        first = next(name for name in learned if "lora_A" in name).removeprefix("base_model.model.")
        target = first.split(".")[-4]
        assert first.startswith(shape.module_name(0, target) + ".lora_A")


def test_norms_without_weights_are_no_norms_to_count(bases: dict[str, Path]) -> None:
    """OLMo's have none, the last one neither."""
    from loray.models.load import load_base

    base = BaseModelSpec(path=str(bases["olmo"]), quantization="none", dtype="float32")
    model = load_base(base)
    assert count_base(read_architecture(base)).total == sum(p.numel() for p in model.parameters())


def test_such_a_base_is_planned_with_a_note_but_not_in_stages(bases: dict[str, Path]) -> None:
    run = spec(base_model__path=bases["starcoder2"], base_model__quantization="none")
    check_runnable(run)
    notes = forecast(run).notes
    assert any("not in the tested list: it is tried on a random small copy" in n for n in notes)
    staged = spec(
        base_model__path=bases["starcoder2"],
        base_model__quantization="none",
        train__strategy="{kind: pipeline}",
        resources__workers=2,
    )
    with pytest.raises(UnsupportedError, match="kind is pipeline, but the base model's type"):
        check_runnable(staged)


def test_files_that_cannot_be_read_are_named(bases: dict[str, Path], tmp_path: Path) -> None:
    config = json.loads((bases["stablelm"] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = BaseModelSpec(path=str(tmp_path))
    with pytest.raises(ModelError, match="is counted by its weights, and those in"):
        read_architecture(model)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    with pytest.raises(ModelError, match="cannot be read"):
        read_architecture(model)
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(UnsupportedError, match="do not hold 2 layers with the same weights"):
        read_architecture(model)
