"""What ZeRO 3, FSDP2 and offload take off a worker, in the plan."""

import pytest

from loray.planner.memory import count_learned, train_memory, weight_bytes
from loray.planner.moments import worker_moments
from loray.planner.parameters import count_base
from loray.planner.sharing import put_together_bytes
from tests.planner.shapes import SHAPES, spec

LLAMA = SHAPES["llama-2-70b"]
GPUS = {"resources__workers": 4, "resources__gpus_per_worker": 1}


def memory(strategy: str, **more: object):
    return train_memory(spec(**{**GPUS, **more}, train__strategy=strategy), LLAMA)


@pytest.mark.parametrize("strategy", ["{kind: fsdp}", "{kind: deepspeed, zero_stage: 3}"])
def test_four_workers_hold_a_quarter_of_the_base_each(strategy: str):
    whole, shared = memory("{kind: deepspeed, zero_stage: 2}"), memory(strategy)
    scales = count_base(LLAMA).linear * 0.126953125 / 8
    assert shared.weights == pytest.approx((whole.weights - scales) / 4 + scales)
    assert shared.optimizer == whole.optimizer
    assert whole.buffers < shared.buffers < whole.buffers + whole.weights / 4


def test_one_worker_shares_nothing():
    alone = {"resources__workers": 1}
    plain = memory("{kind: plain}", **alone)
    assert memory("{kind: fsdp}", **alone).weights == plain.weights
    assert memory("{kind: fsdp}", **alone).buffers == plain.buffers


def test_fsdp_holds_two_layers_and_what_is_outside_of_layers_put_together():
    run = spec(**GPUS, train__strategy="{kind: fsdp}", base_model__quantization="none")
    whole = weight_bytes(run.base_model, LLAMA)
    outside = (2 * LLAMA.vocabulary * LLAMA.hidden + (2 * LLAMA.layers + 1) * LLAMA.hidden) * 2
    layers = 2 * (whole - outside) / LLAMA.layers
    assert train_memory(run, LLAMA).buffers == pytest.approx(outside + layers)


def test_fsdp_holds_weights_that_learn_once():
    """As float32 shards, out of which each layer is made in bfloat16."""
    run = spec(
        **GPUS,
        method="{kind: full}",
        base_model__quantization="none",
        train__strategy="{kind: fsdp}",
    )
    found = train_memory(run, LLAMA)
    assert found.weights == found.adapter == 0.0
    assert found.optimizer == 12 * count_base(LLAMA).total / 4


def test_fsdp_puts_what_learns_in_full_together_with_what_it_was_copied_from():
    """Over a whole pass; its gradients are in full before they are averaged in float32."""
    none, both = (
        spec(
            **GPUS,
            train__strategy="{kind: fsdp}",
            base_model__quantization="none",
            method=f"{{kind: lora, modules_to_save: [{names}]}}",
        )
        for names in ("", "embed_tokens, lm_head")
    )
    matrix = LLAMA.vocabulary * LLAMA.hidden
    more = [
        put_together_bytes(run, LLAMA, weight_bytes(run.base_model, LLAMA)) for run in (none, both)
    ]
    assert more[1] - more[0] == 2 * 2 * matrix
    assert train_memory(both, LLAMA).buffers >= 2 * matrix * (2 + 4)


def test_fsdp_has_gradients_of_what_is_outside_of_the_layers_in_full_at_the_end_of_a_pass():
    """In bfloat16, once more in float32, beside the weights; the peak, with few tokens."""
    run = spec(
        resources__workers=128,
        resources__gpus_per_worker=1,
        method="{kind: full}",
        base_model__quantization="none",
        train__strategy="{kind: fsdp}",
        train__gradient_checkpointing=True,
        data__sequence__max_tokens=64,
        train__batch__global_size=128,
    )
    outside = 2 * LLAMA.vocabulary * LLAMA.hidden + (2 * LLAMA.layers + 1) * LLAMA.hidden
    assert train_memory(run, LLAMA).buffers == outside * (2 + 2 + 4)


def test_what_is_offloaded_is_planned_on_the_host():
    every = "{kind: deepspeed, zero_stage: 3, offload: [optimizer, parameters]}"
    run = spec(**GPUS, train__strategy=every)
    step = next(moment for moment in worker_moments(run, LLAMA) if moment.name == "step")
    kept = memory("{kind: deepspeed, zero_stage: 3}")
    assert step.device["optimizer"] == step.device["weights"] == 0.0
    assert step.host["parameters"] == kept.weights
    share = count_learned(run, LLAMA) / 4
    assert step.host["optimizer"] == kept.optimizer + share * (4 + 8 + 2)


def test_a_worker_without_a_gpu_has_nowhere_to_offload_to():
    on_cpu = {"resources__gpus_per_worker": 0}
    plain = memory("{kind: deepspeed, zero_stage: 3}", **on_cpu)
    assert memory("{kind: deepspeed, zero_stage: 3, offload: [optimizer]}", **on_cpu) == plain
