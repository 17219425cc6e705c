"""How a pipeline cuts a model, and what that takes off a worker in the plan."""

import json
from dataclasses import replace

import pytest

from loray.errors import ModelError
from loray.planner.legal import check_runnable
from loray.planner.loss import loss_bytes
from loray.planner.memory import count_learned, train_memory, weight_bytes
from loray.planner.moments import worker_moments
from loray.planner.parameters import count_base
from loray.planner.report import forecast_for
from loray.planner.savings import nearest_that_fits
from loray.planner.stages import busy_share, parts_of, split_layers
from tests.planner.shapes import SHAPES, spec

LLAMA = SHAPES["llama-2-70b"]
TIED = SHAPES["llama-3.2-3b"]
PIPELINE = {"train__strategy": "{kind: pipeline}", "resources__gpus_per_worker": 1}


def planned(stages: int, **more: object):
    return spec(**{**PIPELINE, "resources__workers": stages, **more})


@pytest.mark.parametrize(
    ("layers", "stages", "sizes"),
    [(4, 2, [2, 2]), (3, 2, [2, 1]), (4, 3, [1, 2, 1]), (5, 3, [2, 2, 1]), (10, 4, [2, 3, 3, 2])],
)
def test_every_layer_is_on_one_stage_and_the_middle_has_more(layers, stages, sizes):
    found = split_layers(layers, stages)
    assert [len(numbers) for numbers in found] == sizes
    assert [number for numbers in found for number in numbers] == list(range(layers))


@pytest.mark.parametrize(
    "method",
    ["{kind: full}", "{kind: lora, patterns: [{modules: layers.79.self_attn.q_proj, rank: 60}]}"],
)
@pytest.mark.parametrize("stages", [2, 3, 80])
def test_the_stages_hold_the_model_together(stages: int, method: str):
    run = planned(stages, method=method, base_model__quantization="none")
    parts = [part.shape for part in parts_of(run, LLAMA)]
    assert sum(weight_bytes(run.base_model, part) for part in parts) == weight_bytes(
        run.base_model, LLAMA
    )
    assert sum(count_learned(run, part) for part in parts) == count_learned(run, LLAMA)


def test_both_ends_have_a_tied_embedding():
    parts = [part.shape for part in parts_of(planned(3), TIED)]
    more = sum(count_base(part).total for part in parts) - count_base(TIED).total
    assert more == TIED.vocabulary * TIED.hidden
    assert count_base(parts[1]).other == 2 * TIED.hidden * parts[1].layers


def test_a_worker_holds_a_share_of_weights_gradients_and_optimizer():
    changes = {"method": "{kind: full}", "base_model__quantization": "none"}
    whole, shared = (
        train_memory(spec(**changes, **settings, resources__workers=4), LLAMA)
        for settings in ({**PIPELINE, "train__strategy": "{kind: plain}"}, PIPELINE)
    )
    for name in ("weights", "optimizer"):
        share = getattr(shared, name) / getattr(whole, name)
        assert 0.25 < share < 0.26, name
    assert shared.beginning == whole.beginning


def test_the_first_stage_keeps_as_many_micro_batches_as_there_are_stages_or_all():
    def in_flight(passes: int) -> list[int]:
        run = planned(4, train__batch__global_size=passes)
        return [part.in_flight for part in parts_of(run, LLAMA)]

    assert in_flight(16) == [4, 3, 2, 1]
    assert in_flight(2) == [2, 2, 2, 2]  # all go forward before any goes back


def test_more_stages_take_weights_off_a_worker_and_no_activations():
    """As many micro-batches are kept at once as the layers are divided by."""
    two, four = (train_memory(planned(stages), LLAMA) for stages in (2, 4))
    assert four.weights == pytest.approx(two.weights / 2, rel=0.03)
    assert four.activations == pytest.approx(two.activations, rel=0.1)


def test_room_is_set_aside_for_what_is_received():
    parts = parts_of(planned(3, train__batch__global_size=8), LLAMA)
    assert [part.received for part in parts] == [8, 16, 8]
    shallow = replace(LLAMA, layers=3)
    few, many = (
        train_memory(planned(3, train__batch__global_size=size), shallow) for size in (4, 64)
    )
    row = 2048 * LLAMA.hidden * 2
    assert many.buffers - few.buffers == pytest.approx(60 * row * 1, rel=1.01)


def loading_of(**settings) -> dict[str, float]:
    run = planned(4, base_model__quantization="none", **settings)
    return next(m for m in worker_moments(run, LLAMA) if m.name == "loading").device


def test_a_worker_loads_its_stage():
    stages = [part.shape for part in parts_of(planned(4), LLAMA)]
    largest = max(2 * count_base(shape).total for shape in stages)
    assert loading_of()["weights"] == largest
    assert loading_of()["part"] == 0
    whole = 2 * count_base(LLAMA).total
    assert largest < 0.4 * whole


def test_with_pissa_it_sees_the_others_layers_too():
    pissa = loading_of(method="{kind: lora, init: pissa}")
    assert pissa["part"] == 2 * count_base(LLAMA).linear / LLAMA.layers


def test_what_waits_of_the_loss_is_there_for_every_micro_batch_that_is_under_way():
    """Of few micro-batches the last stage keeps all, and of each the projection's gradient."""

    def loss_of(passes: int) -> float:
        settings = {
            "method": "{kind: full}",
            "base_model__quantization": "none",
            "data__sequence__max_tokens": 2048,
        }
        run = planned(4, train__batch__global_size=passes, **settings)
        last = parts_of(run, LLAMA)[-1]
        return loss_bytes(run, last.shape, last.in_flight)

    gradients = 4 * LLAMA.vocabulary * LLAMA.hidden + 2048 * LLAMA.hidden * 2
    assert loss_of(3) - loss_of(4) == 2 * gradients


@pytest.mark.parametrize("method", ["{kind: lora, dora: true}", "{kind: lora, init: eva}"])
def test_what_needs_the_whole_base_at_first_loads_it(method: str):
    assert loading_of(method=method)["weights"] == 2 * count_base(LLAMA).total


def test_an_elastic_pipeline_is_planned_for_the_number_of_stages_that_takes_most():
    """Stages in the middle have room for what comes from both sides."""
    shape, many = replace(LLAMA, layers=6), {"train__batch__global_size": 480}
    by_count = [max_bytes(planned(stages, **many), shape) for stages in (2, 3, 4)]
    assert max(by_count) > by_count[0]
    elastic = planned(4, resources__min_workers=2, **many)
    assert max_bytes(elastic, shape) == max(by_count)


def max_bytes(run, shape) -> float:
    return max(moment.device_total for moment in worker_moments(run, shape))


def test_more_stages_than_layers_are_refused(tmp_path):
    config = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 300,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    run = planned(3, base_model__path=str(tmp_path))
    for refuse in (
        lambda: check_runnable(run),
        lambda: forecast_for(run, replace(LLAMA, layers=2)),
    ):
        with pytest.raises(ModelError, match=r"has 2 layers, .*; use 2 workers or fewer"):
            refuse()
    check_runnable(planned(2, base_model__path=str(tmp_path)))


def test_no_more_workers_are_advised_than_there_are_layers():
    shallow = replace(LLAMA, layers=4)
    run = planned(2, base_model__quantization="none", train__gradient_checkpointing=True)
    fitting = train_memory(planned(4, base_model__quantization="none"), shallow).total
    assert "resources.workers=8" not in str(nearest_that_fits(run, shallow, fitting / 4))


def test_the_time_in_which_a_pipeline_fills_is_counted():
    assert busy_share(planned(4, train__batch__global_size=12)) == 12 / 15
    assert busy_share(spec()) == 1.0
