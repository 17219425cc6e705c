"""The planner against figures that others published; each is a fact with its source beside it."""

import json
import math
from dataclasses import replace
from itertools import product

import pytest

from loray.planner.memory import NF4_BITS, activation_bytes, train_memory, weight_bytes
from loray.planner.parameters import (
    Architecture,
    count_adapter,
    count_base,
    count_method,
    module_name,
)
from loray.spec.load import parse_run_spec
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec, LoraMethod


def shape(
    hidden: int, kv: int, ff: int, layers: int, vocab: int = 32000, *, is_tied: bool = False
) -> Architecture:
    """An architecture with heads of 128 (64 where that does not divide)."""
    size = 128 if kv % 128 == 0 and hidden % 128 == 0 else 64
    return Architecture(
        hidden=hidden,
        intermediate=ff,
        layers=layers,
        heads=hidden // size,
        kv_heads=kv // size,
        head_size=size,
        vocabulary=vocab,
        is_tied=is_tied,
    )


SHAPES = {
    "gpt3-175b": shape(12288, 12288, 49152, 96),
    "llama-2-7b": shape(4096, 4096, 11008, 32),
    "llama-2-13b": shape(5120, 5120, 13824, 40),
    "llama-2-70b": shape(8192, 1024, 28672, 80),
    "llama-3-8b": shape(4096, 1024, 14336, 32, 128256),
    "llama-3.2-3b": shape(3072, 1024, 8192, 28, 128256, is_tied=True),
    "phi-1.5": shape(2048, 2048, 8192, 24, 51200),
    "falcon-40b": shape(8192, 512, 32768, 60, 65024),
}


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("llama-2-7b", 6_738_415_616),  # meta-llama/Llama-2-7b, safetensors index
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3-8b", 8_030_261_248),
        ("llama-3.2-3b", 3_212_749_824),  # a 6,425,499,648-byte bf16 file: PEFT method comparison
    ],
)
def test_base_parameters_are_exact(model: str, parameters: int):
    assert count_base(SHAPES[model]).total == parameters


@pytest.mark.parametrize(
    ("model", "rank", "targets", "parameters"),
    [
        # LoRA paper, arXiv:2106.09685, tables 4, 5 and 15: GPT-3 175B.
        ("gpt3-175b", 2, "v", 4_718_592),
        ("gpt3-175b", 2, "qv", 9_437_184),
        ("gpt3-175b", 4, "qv", 18_874_368),
        ("gpt3-175b", 8, "qv", 37_748_736),
        ("gpt3-175b", 64, "qv", 301_989_888),
        # LitGPT, resource tables.
        ("llama-2-7b", 8, "qv", 4_194_304),
        ("phi-1.5", 8, "qv", 1_572_864),
        ("falcon-40b", 8, "qv", 12_042_240),
        # PEFT, method comparison.
        ("llama-3.2-3b", 64, "qv", 18_350_080),
        ("llama-3.2-3b", 10, "mlp", 9_461_760),
    ],
)
def test_adapter_parameters_are_exact(model: str, rank: int, targets: str, parameters: int):
    names = {
        "v": ("v_proj",),
        "qv": ("q_proj", "v_proj"),
        "mlp": ("gate_proj", "up_proj", "down_proj"),
    }
    assert count_adapter(SHAPES[model], names[targets], rank) == parameters


@pytest.mark.parametrize(
    ("dora", "num_bytes"),
    [
        # PEFT, method comparison: r=32 on q and v of Llama 3.2 3B; files of so many bytes.
        (False, 36_715_216),
        (True, 37_181_760),
    ],
)
def test_an_adapter_file_holds_four_bytes_a_parameter_and_a_header(dora: bool, num_bytes: int):
    model = SHAPES["llama-3.2-3b"]
    method = LoraMethod(rank=32, targets=("q_proj", "v_proj"), dora=dora)
    assert 4 * count_method(model, method) + header_bytes(model, method) == num_bytes


def header_bytes(model: Architecture, method: LoraMethod) -> int:
    """Bytes before the numbers of a safetensors file, which names each tensor and its place."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for layer, name in sorted(product(range(model.layers), method.target_modules), key=str):
        inputs, outputs = model.linear_shapes[name]
        parts = {"lora_A.weight": [method.rank, inputs], "lora_B.weight": [outputs, method.rank]}
        if method.dora:
            parts["lora_magnitude_vector"] = [outputs]
        for part, sizes in parts.items():
            full_name = f"base_model.model.{module_name(layer, name)}.{part}"
            end = place + 4 * math.prod(sizes)
            header[full_name] = {"dtype": "F32", "shape": sizes, "data_offsets": [place, end]}
            place = end
    text = json.dumps(header, separators=(",", ":"))
    return 8 + math.ceil(len(text) / 8) * 8


def test_nf4_with_double_quantization_takes_the_papers_bits():
    assert NF4_BITS == 4.126953125  # arXiv:2305.14314, section 3: 0.373 bits below 4.5
    assert 4 + 32 / 64 - NF4_BITS == 0.373046875


@pytest.mark.parametrize(
    ("linear_parameters", "saved_gb"), [(1.313e9, 0.06), (6.607e9, 0.31), (33.481e9, 1.57)]
)
def test_double_quantization_saves_what_litgpt_measured(linear_parameters: float, saved_gb: float):
    saved = linear_parameters * (4.5 - NF4_BITS) / 8 / 1e9
    assert round(saved, 2) == pytest.approx(saved_gb, abs=0.011)


def test_nf4_weights_of_llama_2_70b_fit_where_litgpt_measured_them():
    # LitGPT, nf4-dq inference peak: 37.21 GB, activations of a short prompt included.
    model = BaseModelSpec(path="x", quantization="nf4")
    assert 35.5 < weight_bytes(model, SHAPES["llama-2-70b"]) / 1e9 < 37.21


def spec(text: str = "", **settings: object) -> RunSpec:
    """A spec with the given overrides, written as `train__batch__micro_size=4`."""
    base = (
        "name: x\nbase_model: {path: x}\ntrain: {steps: 1}\n"
        "data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}]}\n"
    )
    overrides = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    return parse_run_spec(base + text, overrides=overrides)


def allocated(run: RunSpec, model: Architecture) -> float:
    """Bytes that torch's allocator would report: CUDA's context is not among them."""
    memory = train_memory(run, model)
    return memory.total - memory.reserve


@pytest.mark.parametrize(
    ("model", "settings", "measured_gb"),
    [
        # LitGPT, resource tables: LoRA r=8 on q and v, A100 40 GB.
        ("llama-2-7b", {"base_model__quantization": "none"}, 21.30),
        ("llama-2-7b", {}, 13.84),
        ("llama-2-13b", {"base_model__quantization": "none"}, 38.12),
        ("llama-2-13b", {}, 22.55),
    ],
)
def test_training_peaks_lie_near_those_that_litgpt_measured(
    model: str, settings: dict[str, object], measured_gb: float
):
    run = spec(
        **settings,
        method="{kind: lora, rank: 8, targets: [q_proj, v_proj]}",
        data__sequence__max_tokens=1304,
        resources__gpus_per_worker=1,
    )
    assert allocated(run, SHAPES[model]) / 1e9 == pytest.approx(measured_gb, rel=0.08)


def test_training_peak_lies_near_the_one_that_peft_measured():
    # PEFT, method comparison, L40S: Llama 3.2 3B, r=32 on q and v, bf16, batch 4 of up to 768
    # tokens; 20.76 GiB at most.
    run = spec(
        method="{kind: lora, rank: 32, targets: [q_proj, v_proj]}",
        base_model__quantization="none",
        data__sequence__max_tokens=768,
        train__batch__micro_size=4,
        resources__gpus_per_worker=1,
    )
    assert allocated(run, SHAPES["llama-3.2-3b"]) / 2**30 == pytest.approx(20.76, rel=0.08)


@pytest.mark.parametrize(
    ("stage", "gib"),
    [
        (1, 15.93),  # DeepSpeed's memory page: 4 P + 16 P / n, gradients not shared out
        (2, 11.28),  # deepspeed 0.19, estimate_zero2_model_states_mem_needs: 2 P + 18 P / n
    ],
)
def test_zero_model_states_are_those_that_deepspeed_states(stage: int, gib: float):
    parameters = 2_851_000_000
    model = SHAPES["llama-2-7b"]
    run = spec(
        "method: {kind: full}\nresources: {workers: 8}\n",
        base_model__quantization="none",
        train__strategy={"kind": "deepspeed", "zero_stage": stage},
    )
    memory = train_memory(run, model)
    states = memory.weights + memory.gradients + memory.optimizer
    scaled = states * parameters / count_base(model).total
    assert round(scaled / 2**30, 2) == gib


def test_recomputing_activations_keeps_one_layer_and_the_inputs_of_all():
    model = SHAPES["llama-2-7b"]
    whole = activation_bytes(model, 1000, 2, recompute=False)
    kept = activation_bytes(model, 1000, 2, recompute=True)
    logits = 1000 * model.vocabulary * 10
    inputs = model.layers * 1000 * model.hidden * 2
    assert kept == pytest.approx((whole - logits) / model.layers + inputs + logits)
    assert math.isclose(
        activation_bytes(replace(model, layers=0), 1000, 2, recompute=False), logits
    )
