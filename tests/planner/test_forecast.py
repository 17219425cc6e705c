import json
from pathlib import Path

import pytest

from loray.errors import ModelError, UnsupportedError
from loray.planner.configs import architecture_of, read_architecture
from loray.planner.memory import GIB
from loray.planner.parameters import count_base
from loray.planner.report import Forecast, forecast, forecast_for
from loray.spec.load import parse_run_spec
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec

LLAMA_70B = {
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
}
BASE = """\
name: big
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}], sequence: {max_tokens: 2048}}
train: {steps: 250, gradient_checkpointing: true, checkpoint_every: 100}
resources: {workers: 4, gpus_per_worker: 1}
"""


def spec(*overrides: str) -> RunSpec:
    return parse_run_spec(BASE, overrides=overrides)


def planned(*overrides: str, gib: float | None = 80 * 1e9 / GIB) -> Forecast:
    return forecast_for(spec(*overrides), architecture_of(LLAMA_70B), device_gib=gib)


def test_qlora_of_70b_fits_one_node_of_four_80_gb_devices():
    result = planned("method={kind: lora, rank: 64}")
    assert result.fits
    assert result.notes == ()
    assert 36 < result.memory.weights / 1e9 < 37


def test_full_fine_tuning_of_70b_does_not_fit_them_and_says_so():
    result = planned("method={kind: full}", "base_model.quantization=none")
    assert result.fits is False
    assert result.memory.weights / 1e9 > 137
    assert any("use method.kind: lora" in note for note in result.notes)
    assert any("no setting of this spec fits" in note for note in result.notes)


def test_what_does_not_fit_is_told_the_smallest_change_that_does():
    result = planned("train.batch.micro_size=4", "train.gradient_checkpointing=false")
    assert result.fits is False
    (note,) = result.notes
    assert note.endswith("; set train.gradient_checkpointing=true")
    assert planned("train.batch.micro_size=4").fits


def test_without_a_device_nothing_is_said_about_fitting():
    result = planned(gib=None)
    assert result.fits is None


def test_tokens_steps_and_checkpoints_follow_from_the_spec():
    result = planned()
    assert result.tokens_per_step == 16 * 2048
    assert result.tokens_in_all == 250 * 16 * 2048
    assert result.num_checkpoints == 3


def test_more_workers_share_the_optimizer_and_not_the_base():
    alone, shared = planned("resources.workers=1"), planned("resources.workers=8")
    assert shared.memory.optimizer == alone.memory.optimizer / 8
    assert shared.memory.weights == alone.memory.weights


def test_memory_is_planned_for_the_fewest_workers_and_the_plan_says_so():
    most, fewest = planned(), planned("resources.workers=2")
    elastic = planned("resources.min_workers=2")
    assert elastic.memory == fewest.memory
    assert elastic.memory.optimizer == 2 * most.memory.optimizer
    assert [note for note in elastic.notes if "of workers, 2 to 4, takes most" in note]
    assert planned("resources.min_workers=4").notes == most.notes == ()


@pytest.mark.parametrize(
    ("strategy", "gradients", "optimizer"),
    [
        ("{kind: plain}", 1, 1),
        ("{kind: deepspeed, zero_stage: 1}", 1, 4),
        ("{kind: deepspeed, zero_stage: 2}", 4, 4),
    ],
)
def test_each_strategy_shares_more_of_four_workers(strategy: str, gradients: int, optimizer: int):
    memory = planned(f"train.strategy={strategy}").memory
    learned = memory.adapter / 2
    assert memory.gradients == 4 * learned / gradients
    assert memory.optimizer == 12 * learned / optimizer


def test_there_are_gradients_beside_the_activations_where_a_step_has_several_micro_batches():
    assert planned("train.batch.global_size=4").memory.gradients == 0
    assert planned("train.batch.global_size=8").memory.gradients > 0


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        # Published counts: Qwen/Qwen2.5-0.5B 494,032,768; mistralai/Mistral-7B-v0.1 7,241,732,096;
        # Qwen/Qwen3-0.6B 596,049,920.
        (
            {
                "model_type": "qwen2",
                "hidden_size": 896,
                "intermediate_size": 4864,
                "num_hidden_layers": 24,
                "num_attention_heads": 14,
                "num_key_value_heads": 2,
                "vocab_size": 151936,
                "tie_word_embeddings": True,
            },
            494_032_768,
        ),
        (
            {
                "model_type": "mistral",
                "hidden_size": 4096,
                "intermediate_size": 14336,
                "num_hidden_layers": 32,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "vocab_size": 32000,
            },
            7_241_732_096,
        ),
        (
            {
                "model_type": "qwen3",
                "hidden_size": 1024,
                "intermediate_size": 3072,
                "num_hidden_layers": 28,
                "num_attention_heads": 16,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "vocab_size": 151936,
                "tie_word_embeddings": True,
            },
            596_049_920,
        ),
    ],
)
def test_other_families_are_counted_exactly(config: dict[str, object], parameters: int):
    assert count_base(architecture_of(config)).total == parameters


def test_a_base_model_of_another_kind_is_refused_by_name(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    words = r"'gpt2', which loray can neither train nor serve: its weights .* use one of llama"
    with pytest.raises(UnsupportedError, match=words):
        read_architecture(BaseModelSpec(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"model_type": "llama"}', "lacks num_attention_heads"),
        (
            json.dumps(LLAMA_70B | {"num_attention_heads": 0, "head_dim": None}),
            "num_attention_heads 0",
        ),
        (json.dumps(LLAMA_70B | {"hidden_size": None, "head_dim": None}), "lacks hidden_size"),
        (json.dumps(LLAMA_70B | {"vocab_size": "many"}), "vocab_size 'many'"),
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, text: str, words: str):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=words):
        read_architecture(BaseModelSpec(path=str(tmp_path)))


def test_a_hub_id_is_looked_up_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = BaseModelSpec(path="org/big", revision="a" * 40)
    with pytest.raises(ModelError, match="found no"):
        read_architecture(model)
    folder = tmp_path / "models--org--big" / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(LLAMA_70B))
    assert read_architecture(model).layers == 80


def test_a_forecast_reads_nothing_but_the_config(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_70B))
    result = forecast(spec(f"base_model.path={tmp_path}"), device_gib=80)
    assert result.base_parameters == 68_976_648_192
    assert set(result.serving) == {"weights", "slots", "cache", "reserve"}
