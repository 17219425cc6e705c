"""The smallest change that makes a plan fit."""

import pytest

from loray.planner.memory import GIB
from loray.planner.moments import largest, worker_moments
from loray.planner.savings import nearest_that_fits
from loray.spec.load import parse_run_spec
from tests.planner.shapes import BASE, SHAPES, spec

LLAMA = SHAPES["llama-3-8b"]
ON_GPU = {"resources__gpus_per_worker": 1, "data__sequence__max_tokens": 2048}
ALONE = {**ON_GPU, "train__batch__global_size": 1}
"""No more workers could share a batch."""
FULL = {**ON_GPU, "method": "{kind: full}", "base_model__quantization": "none"}


def peak(settings: dict[str, object], *changes: str) -> float:
    overrides = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    run = parse_run_spec(BASE, overrides=[*overrides, *changes])
    return largest(worker_moments(run, LLAMA)).device_total


def changes_in(remedy: str) -> list[str]:
    """The `--set` values of a remedy."""
    found = (
        remedy.removeprefix("set ")
        .replace(", zero_stage", ";zero_stage")
        .replace(", offload", ";offload")
        .split(", ")
    )
    return [change.replace(";", ", ") for change in found]


@pytest.mark.parametrize(
    ("settings", "gib", "remedy"),
    [
        (ON_GPU, 19, "set train.gradient_checkpointing=true"),
        ({**ON_GPU, "train__gradient_checkpointing": True, "train__batch__micro_size": 4,
          "train__batch__global_size": 4}, 11, "set train.batch.micro_size=1"),
        ({**ALONE, "base_model__dtype": "float32", "train__gradient_checkpointing": True},
         11, "set base_model.dtype=bfloat16"),
        ({**ALONE, "base_model__quantization": "none", "train__gradient_checkpointing": True},
         16, "set base_model.quantization=nf4"),
        (FULL, 60, "set train.gradient_checkpointing=true, resources.workers=4"),
        ({**FULL, "resources__workers": 8, "train__strategy": "{kind: plain}",
          "train__gradient_checkpointing": True}, 40,
         "set train.strategy={kind: deepspeed, zero_stage: 2}"),
        ({**FULL, "resources__workers": 8, "train__gradient_checkpointing": True,
          "train__strategy": "{kind: deepspeed, zero_stage: 1}"}, 50,
         "set train.strategy={kind: deepspeed, zero_stage: 2}"),
        ({**FULL, "resources__workers": 8, "train__gradient_checkpointing": True}, 30,
         "set train.strategy={kind: deepspeed, zero_stage: 3}"),
        ({**FULL, "resources__workers": 8, "train__gradient_checkpointing": True,
          "train__strategy": "{kind: deepspeed, zero_stage: 2, offload: [optimizer]}"}, 20,
         "set train.strategy={kind: deepspeed, zero_stage: 3, offload: [optimizer]}"),
    ],
)  # fmt: skip
def test_the_cheapest_and_fewest_changes_are_told(settings, gib: float, remedy: str):
    """A result that stays the same comes before more devices, and those before another result."""
    assert peak(settings) > gib * GIB
    found = nearest_that_fits(spec(**settings), LLAMA, gib * GIB)
    assert found == remedy
    assert peak(settings, *changes_in(found)) <= gib * GIB


def test_sequences_are_cut_no_more_than_needed():
    settings = {**ALONE, "train__gradient_checkpointing": True}
    found = nearest_that_fits(spec(**settings), LLAMA, 8.7 * GIB)
    assert found == "set data.sequence.max_tokens=1024"


def test_workers_are_offered_only_where_they_divide_the_batch():
    settings = {**FULL, "train__batch__global_size": 6, "train__gradient_checkpointing": True}
    assert nearest_that_fits(spec(**settings), LLAMA, 100 * GIB) == "set resources.workers=2"
    assert nearest_that_fits(spec(**settings), LLAMA, 60 * GIB) is None


def test_where_fewer_may_train_more_of_them_are_asked_for():
    settings = {
        **FULL,
        "resources__workers": 8,
        "resources__min_workers": 1,
        "train__gradient_checkpointing": True,
    }
    found = nearest_that_fits(spec(**settings), LLAMA, 60 * GIB)
    assert found == "set resources.min_workers=4"
    assert peak(settings, *changes_in(found)) <= 60 * GIB < peak(settings)


def test_nothing_is_told_where_nothing_helps():
    assert nearest_that_fits(spec(**FULL), LLAMA, 10 * GIB) is None
