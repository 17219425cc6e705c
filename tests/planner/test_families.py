import pytest

from loray.errors import ModelError
from loray.planner.devices import DEVICES, REPORTED, device_reported
from loray.planner.families import FAMILIES, architecture_for
from loray.planner.memory import GIB
from loray.planner.parameters import count_base
from loray.planner.report import forecast
from loray.planner.unknown_ids import is_hub_id
from loray.spec.load import parse_run_spec
from loray.spec.train import BaseModelSpec

PUBLISHED = {
    "meta-llama/Llama-2-7b-hf": 6_738_415_616,
    "meta-llama/Llama-2-13b-hf": 13_015_864_320,
    "meta-llama/Llama-2-70b-hf": 68_976_648_192,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "meta-llama/Meta-Llama-3-70B": 70_553_706_496,
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "mistralai/Mistral-7B-v0.3": 7_248_023_552,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": 1_100_048_384,
    "HuggingFaceTB/SmolLM2-135M": 134_515_008,
    "HuggingFaceTB/SmolLM2-360M": 361_821_120,
    "HuggingFaceTB/SmolLM2-1.7B": 1_711_376_384,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-3B": 3_085_938_688,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
    "Qwen/Qwen2.5-14B": 14_770_033_664,
    "Qwen/Qwen2.5-32B": 32_763_876_352,
    "Qwen/Qwen2.5-72B": 72_706_203_648,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-1.7B": 1_720_574_976,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1_777_088_000,
    "mistralai/Mistral-Nemo-Base-2407": 12_247_782_400,
    "mistralai/Mistral-Small-24B-Base-2501": 23_572_403_200,
    "HuggingFaceTB/SmolLM3-3B": 3_075_098_624,
    "google/gemma-2b": 2_506_172_416,
    "google/gemma-7b": 8_537_680_896,
    "google/gemma-2-2b": 2_614_341_888,
    "google/gemma-2-9b": 9_241_705_984,
    "google/gemma-2-27b": 27_227_128_320,
    "google/gemma-3-270m": 268_098_176,
    "google/gemma-3-1b-pt": 999_885_952,
    "microsoft/Phi-3-mini-4k-instruct": 3_821_079_552,
    "microsoft/Phi-3-medium-4k-instruct": 13_960_238_080,
    "microsoft/phi-4": 14_659_507_200,
    "microsoft/Phi-4-mini-instruct": 3_836_021_760,
    "allenai/OLMo-2-0425-1B": 1_484_916_736,
    "allenai/OLMo-2-1124-7B": 7_298_617_344,
    "allenai/OLMo-2-1124-13B": 13_716_198_400,
    "allenai/OLMo-2-0325-32B": 32_234_279_936,
    "ibm-granite/granite-3.1-2b-base": 2_533_531_648,
    "ibm-granite/granite-3.1-8b-base": 8_170_848_256,
    "CohereForAI/c4ai-command-r7b-12-2024": 8_028_033_024,
    "CohereForAI/aya-expanse-32b": 32_296_476_672,
    "CohereForAI/c4ai-command-r-v01": 34_980_831_232,
    "meta-llama/Llama-3.1-405B": 405_853_388_800,
    "codellama/CodeLlama-7b-hf": 6_738_546_688,
    "codellama/CodeLlama-13b-hf": 13_016_028_160,
    "codellama/CodeLlama-34b-hf": 33_743_970_304,
    "01-ai/Yi-1.5-6B": 6_061_035_520,
    "01-ai/Yi-1.5-9B": 8_829_407_232,
    "01-ai/Yi-1.5-34B": 34_388_917_248,
    "deepseek-ai/deepseek-coder-1.3b-base": 1_346_471_936,
    "deepseek-ai/deepseek-coder-6.7b-base": 6_740_512_768,
    "deepseek-ai/deepseek-llm-7b-base": 6_910_365_696,
    "tiiuae/Falcon3-1B-Instruct": 1_669_408_768,
    "tiiuae/Falcon3-3B-Instruct": 3_227_655_168,
    "utter-project/EuroLLM-1.7B-Instruct": 1_656_850_432,
    "mistralai/Ministral-8B-Instruct-2410": 8_019_808_256,
    "mistralai/Mistral-Large-Instruct-2411": 122_610_069_504,
    "ibm-granite/granite-3.3-2b-instruct": 2_533_539_840,
    "ibm-granite/granite-3.3-8b-instruct": 8_170_864_640,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_parameters_are_those_that_the_publisher_counts(name: str):
    assert count_base(FAMILIES[name]).total == PUBLISHED[name]


@pytest.mark.parametrize(
    ("hub_id", "same_as"),
    [
        ("Qwen/Qwen3-4B-Base", "Qwen/Qwen3-4B"),
        ("Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen3-4B"),
        ("unsloth/Qwen2.5-Coder-14B-Instruct", "Qwen/Qwen2.5-14B"),
        ("NousResearch/Meta-Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3-8B"),
        ("unsloth/Llama-3.3-70B-Instruct", "meta-llama/Meta-Llama-3-70B"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "meta-llama/Meta-Llama-3-8B"),
        ("mistralai/Mistral-Nemo-Instruct-2407", "mistralai/Mistral-Nemo-Base-2407"),
        ("google/codegemma-1.1-7b-it", "google/gemma-7b"),
        ("microsoft/Phi-3.5-mini-instruct", "microsoft/Phi-3-mini-4k-instruct"),
        ("allenai/OLMo-2-1124-7B-DPO", "allenai/OLMo-2-1124-7B"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M"),
        ("CohereLabs/aya-23-8B", "CohereForAI/c4ai-command-r7b-12-2024"),
    ],
)
def test_endings_dates_and_mirrors_have_the_shape_of_their_family(hub_id: str, same_as: str):
    assert count_base(FAMILIES[hub_id]).total == PUBLISHED[same_as]


def test_the_ids_of_a_rule_are_whole():
    assert len(FAMILIES) >= 300
    assert not [name for name in FAMILIES if not is_hub_id(name)]


@pytest.mark.parametrize(
    ("hub_id", "said"),
    [
        ("acme/Qwen3-8B", "near it are Qwen/Qwen3-8B, unsloth/Qwen3-8B; to plan for it, fetch"),
        ("Qwen/Qwen3-8b-base", "near it are Qwen/Qwen3-8B-Base"),
        ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "near it are Qwen/Qwen3-8B, unsloth/Qwen3-8B, "),
        ("x/Llama-3.1-8B-Instruct-GGUF", "its weights are quantized already; name the model"),
        ("Qwen/Qwen3-30B-A3B", "it has experts (MoE)"),
        ("mistralai/Mixtral-8x7B-v0.1", "it has experts (MoE)"),
        ("google/gemma-3-4b-it", "it has parts for images"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "it has parts for images"),
        ("quite/another", "known by their hub id; to plan for it, fetch it: loray model pull"),
    ],
)  # fmt: skip
def test_an_unknown_id_is_told_with_the_nearest_and_how_to_fetch_it(hub_id: str, said: str):
    with pytest.raises(ModelError) as refused:
        architecture_for(BaseModelSpec(path=hub_id, revision="0" * 40))
    assert f"found no {hub_id} on this disk" in str(refused.value)
    assert said in str(refused.value)


def test_every_shape_is_held_to_a_published_count():
    counted = {count_base(FAMILIES[name]) for name in PUBLISHED}
    assert {count_base(shape) for shape in FAMILIES.values()} == counted


def test_a_model_that_is_not_on_the_disk_is_planned_by_its_hub_id(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    spec = parse_run_spec(
        """\
name: big
base_model: {path: meta-llama/Llama-3.1-70B, revision: main}
data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}], sequence: {max_tokens: 2048}}
train: {steps: 10, gradient_checkpointing: true}
resources: {workers: 4, gpus_per_worker: 1}
"""
    )
    result = forecast(spec, device_gib=80)
    assert result.base_parameters == 70_553_706_496
    assert result.fits
    assert result.memory.weights > 35 * GIB


def test_what_lies_on_the_disk_goes_before_what_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--Qwen--Qwen3-8B" / "snapshots" / "main"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        '{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "vocab_size": 300,'
        ' "num_hidden_layers": 1, "num_attention_heads": 4}'
    )
    assert architecture_for(BaseModelSpec(path="Qwen/Qwen3-8B", revision="main")).hidden == 64


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ((), 2),
        (("train.gradient_checkpointing=true",), 3),
        (("method.kind=full", "base_model.quantization=none"), 3),
    ],
)
def test_flops_count_the_passes_over_the_weights(changes, passes):
    spec = parse_run_spec(
        """\
name: big
base_model: {path: meta-llama/Llama-3.1-8B, revision: main}
data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}], sequence: {max_tokens: 2048}}
train: {steps: 10, batch: {global_size: 4}}
""",
        overrides=changes,
    )
    result = forecast(spec)
    weights = 8_030_261_248 - 128256 * 4096 - 65 * 4096  # the embedding is looked up; norms
    assert result.flops == 2 * passes * weights * 10 * 4 * 2048


def test_a_measured_step_took_what_is_planned_for_it():
    """An 8B Llama, 8,192 tokens a step, recomputing: 0.998 s on an H200."""
    weights = 8_030_261_248 - 128256 * 4096 - 65 * 4096
    seconds = DEVICES["h200"].hours(6 * weights * 8192, 1, dtype="bfloat16") * 3600
    assert seconds == pytest.approx(0.998, rel=0.15)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100-80g"),
        ("A100-SXM4-40GB", "a100-40g"),
        ("Tesla T4", "t4"),
    ],
)
def test_a_device_is_known_by_what_its_driver_calls_it(name: str, kind: str):
    assert device_reported(name) is DEVICES[kind]


@pytest.mark.parametrize(
    "name", ["NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "AMD Instinct MI300X", ""]
)
def test_a_slower_form_a_slice_and_another_maker_are_not_taken_for_one(name: str):
    assert device_reported(name) is None


def test_every_name_of_a_driver_is_of_a_known_device():
    assert set(REPORTED.values()) <= set(DEVICES)
