"""Loading, stepping and saving: what a worker's device and its host hold."""

from dataclasses import replace

import pytest

from loray.planner.loading import file_bytes
from loray.planner.memory import count_learned, train_memory, weight_bytes
from loray.planner.moments import Moment, largest, worker_moments
from loray.planner.report import forecast_for
from tests.planner.shapes import SHAPES, spec

LLAMA = SHAPES["llama-3.2-3b"]


def moments(shape=LLAMA, **settings) -> dict[str, Moment]:
    return {moment.name: moment for moment in worker_moments(spec(**settings), shape)}


def test_a_step_is_what_train_memory_says():
    for settings in ({}, {"resources__gpus_per_worker": 1}):
        step = moments(**settings)["step"]
        assert step.device_total == train_memory(spec(**settings), LLAMA).total


def test_beside_a_gpu_the_guards_copy_and_the_checkpoint_lie_on_the_host():
    found = moments(resources__gpus_per_worker=1)
    learned = count_learned(spec(), LLAMA)
    assert found["step"].host["beginning"] == 4 * learned
    assert found["checkpoint"].host["checkpoint"] == (12 + 2) * learned
    assert found["step"].device["beginning"] == 0
    assert "checkpoint" not in found["checkpoint"].device


def test_without_a_gpu_all_of_it_is_one_sum():
    found = moments()
    learned = count_learned(spec(), LLAMA)
    assert found["step"].device["beginning"] == 4 * learned
    assert found["checkpoint"].device["checkpoint"] == (12 + 2) * learned
    assert all(moment.host == {} for moment in found.values())


@pytest.mark.parametrize(
    ("settings", "stored_type", "files"),
    [
        ({"base_model__quantization": "none"}, "bfloat16", 0),  # the mapped files are the weights
        ({"base_model__quantization": "none"}, "float16", 2),
        ({"base_model__quantization": "none", "base_model__dtype": "float32"}, "bfloat16", 2),
        ({"base_model__quantization": "none", "base_model__dtype": "float32"}, "float32", 0),
        ({}, "bfloat16", 2),  # NF4 is made from them
        ({}, "float32", 4),
    ],
)
def test_loading_on_a_cpu_maps_files_beside_the_weights_unless_they_are_the_weights(
    settings: dict[str, object], stored_type: str, files: int
):
    shape = replace(LLAMA, stored_type=stored_type)
    loading = moments(shape, **settings)["loading"]
    assert loading.device["files"] == files * 3_212_749_824
    assert loading.device["weights"] == weight_bytes(spec(**settings).base_model, shape)


def test_a_gpu_gets_one_tensor_after_another_and_its_host_maps_the_files():
    loading = moments(resources__gpus_per_worker=1)["loading"]
    assert loading.device["buffers"] == 2 * 128_256 * 3072
    assert loading.host["mapped files"] == file_bytes(LLAMA)


SHARED = {
    "fsdp": {"train__strategy": "{kind: fsdp}", "resources__workers": 4},
    "zero-3": {
        "train__strategy": "{kind: deepspeed, zero_stage: 3}",
        "resources__workers": 4,
    },
}
LAYER = 3072 * (2 * 3072 + 2 * 1024 + 3 * 8192)
"""Weights of a layer's projections."""
OUTSIDE = 128_256 * 3072 + (2 * 28 + 1) * 3072
"""Of the embedding, and all norms."""


@pytest.mark.parametrize("name", SHARED)
def test_where_weights_are_shared_out_a_worker_loads_its_share_and_a_part(name: str):
    loading = moments(**SHARED[name], base_model__quantization="none")["loading"]
    assert loading.device["weights"] == (28 * LAYER + OUTSIDE) * 2 / 4
    assert loading.device["part"] == OUTSIDE * 2  # larger than a layer
    assert loading.device["buffers"] == 3072 * 8192 * 8  # the norm of a weight, float64
    assert loading.device["adapter"] == count_learned(spec(), LLAMA) * 2
    assert "files" not in loading.device
    assert loading.host == {}


def test_a_layer_may_be_the_largest_part():
    shape = replace(LLAMA, vocabulary=3072)
    settings = {"base_model__quantization": "none", "base_model__dtype": "float32"}
    loading = moments(shape, **SHARED["fsdp"], **settings)["loading"]
    assert loading.device["part"] == LAYER * 4


def test_a_weight_of_another_type_is_there_twice_while_it_is_read():
    settings = {"base_model__quantization": "none", "base_model__dtype": "float32"}
    loading = moments(**SHARED["fsdp"], **settings)["loading"]
    assert loading.device["buffers"] == 128_256 * 3072 * 2


def test_four_bits_are_made_of_one_weight_after_another():
    loading = moments(**SHARED["zero-3"])["loading"]
    packed, scales = 28 * LAYER * 4 / 8, 28 * LAYER * 0.126953125 / 8  # which stay whole
    assert loading.device["weights"] == pytest.approx((packed + OUTSIDE * 2) / 4 + scales)
    assert loading.device["adapter"] == count_learned(spec(), LLAMA) * 4
    assert loading.device["buffers"] == 3072 * 8192 * (8 + 2)  # unpacked, and in float64
    whole = moments(resources__workers=4)["loading"]
    assert loading.device_total < 0.35 * whole.device_total


def test_beside_a_gpu_the_host_holds_no_files_but_the_weight_that_is_read():
    loading = moments(**SHARED["fsdp"], resources__gpus_per_worker=1)["loading"]
    assert loading.host["buffers"] == 128_256 * 3072 * 2
    assert "mapped files" not in loading.host


def test_a_share_that_waits_on_the_host_is_never_on_the_gpu():
    every = "{kind: deepspeed, zero_stage: 3, offload: [optimizer, parameters]}"
    settings = SHARED["zero-3"] | {"train__strategy": every, "resources__gpus_per_worker": 1}
    loading = moments(**settings)["loading"]
    kept = moments(**SHARED["zero-3"], resources__gpus_per_worker=1)["loading"]
    assert loading.device["weights"] == 0
    assert loading.host["parameters"] == kept.device["weights"]
    assert loading.device["part"] == kept.device["part"]


def test_fsdp_makes_what_learns_float32_before_it_cuts_it_up():
    full = {"method": "{kind: full}", "base_model__quantization": "none"}
    fsdp, zero = (moments(**SHARED[name], **full)["loading"].device for name in SHARED)
    assert fsdp["weights"] == 2 * zero["weights"] == (28 * LAYER + OUTSIDE) * 4 / 4
    assert fsdp["part"] == 2 * zero["part"]


def test_a_peak_that_is_not_a_steps_is_said():
    """NF4 on a CPU is made from 16-bit files; full training saves 12 bytes a parameter."""
    small = {"data__sequence__max_tokens": 16, "train__batch__global_size": 1}
    loading = forecast_for(spec(**small), LLAMA)
    assert largest(loading.moments).name == "loading"
    assert any("memory peaks at loading" in note for note in loading.notes)
    full = spec(method="{kind: full}", base_model__quantization="none", **small)
    shape = replace(LLAMA, layers=4)
    assert largest(forecast_for(full, shape).moments).name == "checkpoint"


def test_whether_a_worker_fits_counts_every_moment():
    run = spec(data__sequence__max_tokens=16, train__batch__global_size=1)
    step = train_memory(run, LLAMA).total / 2**30
    assert forecast_for(run, LLAMA, device_gib=step + 0.1).fits is False
    assert forecast_for(run, LLAMA, device_gib=step + 6.0).fits is True
