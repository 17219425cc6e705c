"""What a step takes is told, and telling it changes nothing."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from loray.spec.run import RunSpec
from tests.train.loops import build
from tests.train.sequences import make_rows, make_spec, write_tokens


def run(spec: RunSpec, tokens: str, *, is_watched: bool) -> tuple[list[float], Any]:
    """The losses and what was learned, with every step recorded or none looked at."""
    from loray.train.batches import BatchSizes, micro_batches, open_tokens
    from loray.train.learner import learned_tensors
    from loray.train.loop import train_step
    from loray.train.vitals import Vitals
    from loray.train.watch import Watch

    looped, opened, losses = build(spec), open_tokens(tokens), []
    watch = Watch(spec, Vitals(looped.learner), looped.engine)
    for step in range(spec.train.steps):
        batches = micro_batches(
            opened, step=step, seed=spec.seed, sizes=BatchSizes(8, 4, workers=1), worker=0
        )
        if is_watched:
            watch.begin(is_recorded=True)
            batches = watch.waiting(batches)
        result = train_step(
            looped.engine,
            batches,
            learning_rate=5e-3,
            dropout_seed=step,
            look_at_gradients=watch.look if is_watched else None,
        )
        if is_watched:
            cost = watch.end(step + 1, num_tokens=result.num_tokens)
            assert len(watch.records) == 14
            assert 0 < cost.vitals_seconds < cost.seconds
        losses.append(result.loss)
    return losses, learned_tensors(looped.learner, looped.engine.weights(), spec.base_model)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("strategy", "dtype"),
    [
        ("plain", "float32"),
        pytest.param("plain", "bfloat16", marks=pytest.mark.slow),
        pytest.param("deepspeed", "float32", marks=pytest.mark.slow),
        pytest.param("deepspeed", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_a_watched_run_ends_bit_for_bit_where_an_unwatched_one_does(
    model: Path, tmp_path: Path, strategy: str, dtype: str
) -> None:
    spec = make_spec(
        model,
        train__steps=4,
        train__strategy={"kind": strategy},
        base_model__dtype=dtype,
        method__dropout=0.2,
    )
    tokens = write_tokens(tmp_path, make_rows(40))
    losses, learned = run(spec, tokens, is_watched=True)
    other_losses, other = run(spec, tokens, is_watched=False)
    assert losses == other_losses
    assert all(torch.equal(tensor, other[name]) for name, tensor in learned.items())


@pytest.fixture
def watch(model: Path) -> Any:
    from loray.train.vitals import Vitals
    from loray.train.watch import Watch

    spec = make_spec(model, method={"kind": "full"}, base_model__quantization="none")
    looped = build(spec)
    return Watch(spec, Vitals(looped.learner), looped.engine)


@pytest.mark.usefixtures("alone")
def test_the_wait_for_batches_is_told_apart(watch: Any) -> None:
    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.03)
            yield number

    watch.begin(is_recorded=False)
    assert list(watch.waiting(slow())) == [0, 1, 2]
    time.sleep(0.05)
    cost = watch.end(1, num_tokens=1000)
    assert 0.09 <= cost.data_seconds <= cost.seconds - 0.05
    assert cost.vitals_seconds == 0.0
    assert cost.tokens_per_second == pytest.approx(1000 / cost.seconds)
    watch.begin(is_recorded=False)
    assert watch.end(2, num_tokens=1).data_seconds == 0.0


@pytest.mark.usefixtures("alone")
def test_peak_memory_grows_by_what_is_taken_and_stays(watch: Any) -> None:
    def peak() -> int:
        watch.begin(is_recorded=False)
        return watch.end(1, num_tokens=1).peak_memory_bytes

    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    room = max(peak() - resident, 0)  # memory that was there before, and was given back
    before, taken = peak(), bytearray(room + (64 << 20))
    taken[::4096] = b"x" * len(taken[::4096])
    grown = peak()
    assert 48 << 20 <= grown - before <= 96 << 20
    del taken
    assert abs(peak() - grown) < 8 << 20  # the kernel counts pages in batches


def test_the_share_of_the_peak_is_told_where_the_peak_is_known(model: Path) -> None:
    from loray.train.watch import utilization_per_token

    big = make_spec(
        model,
        base_model={"path": "meta-llama/Llama-3.1-8B", "revision": "a" * 40},
        train__gradient_checkpointing=True,
        resources={"workers": 2, "gpus_per_worker": 1},
    )
    # 8.03e9 parameters less the 0.53e9 of the embedding, three passes, two workers.
    per_token = utilization_per_token(big, "NVIDIA H200", workers=2)
    assert per_token == pytest.approx(2 * 3 * 7.5e9 / (2 * 989e12), rel=0.01)
    assert utilization_per_token(big, "NVIDIA A100-SXM4-80GB MIG 1g.10gb", workers=2) is None
    assert utilization_per_token(big, None, workers=2) is None
    exact = make_spec(model, base_model={"path": str(model), "dtype": "float32"})
    assert utilization_per_token(exact, "NVIDIA H200", workers=1) is None
