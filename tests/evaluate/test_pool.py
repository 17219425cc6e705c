"""The pool on a real Ray cluster; `kill -9` is the real one.

Mechanics are tested with a scorer that starts at once; what depends on the engine with the engine.
"""

import os
import signal
import time
from pathlib import Path

import pytest
import ray

from loray.errors import EvaluationError
from loray.evaluate.pool import MAX_TRIES, Progress, ScorerPool, _Run
from loray.evaluate.rows import SUITES, Row, RowResult, list_checkpoints
from loray.evaluate.work import Suites, WorkItem, gather, to_choose, to_judge
from loray.spec.evaluate import EvalSpec
from loray.spec.run import ResourceSpec, RunSpec
from tests.evaluate.evaluations import make_rows, run_spec
from tests.evaluate.letters import LetterScorer

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Done = dict[WorkItem, tuple[RowResult, ...]]


def spec_of(base: Path | str, *, actors: int, cpus: int = 1) -> RunSpec:
    return run_spec(
        base=base,
        evaluate=EvalSpec(max_new_tokens=8, batch_size=8),
        resources=ResourceSpec(eval_actors=actors, cpus_per_worker=cpus),
    )


def wait_until_ready(pool: ScorerPool, actors: int) -> None:
    """Start actors and return when all of them can be handed an item."""
    pool.start(actors)
    while len(pool.pids) < actors:
        (ref,), _ = ray.wait(list(pool._busy), num_returns=1, timeout=300)
        pool._collect(pool._busy.pop(ref), ref, _Run(0, []))


@pytest.fixture(scope="module")
def suites() -> Suites:
    return {suite: make_rows(150, prefix=suite[0]) for suite in SUITES}


def test_killed_actors_of_two_change_nothing_that_one_undisturbed_actor_finds(
    tiny_model_dir: Path, training_dir: Path, suites: Suites
) -> None:
    one, two = spec_of(tiny_model_dir, actors=1), spec_of(tiny_model_dir, actors=2)
    checkpoints = list_checkpoints(training_dir)
    items = to_choose(checkpoints, suites, one)
    with ScorerPool(one) as pool:
        undisturbed = pool.score(items)
        judged = pool.score(to_judge(checkpoints[1], suites, one))
        assert pool.deaths == 0
    assert items == to_choose(checkpoints, suites, two)

    def kill_one(progress: Progress) -> None:
        if progress.done == 2:
            os.kill(other.pids[-1], signal.SIGKILL)

    with ScorerPool(two, on_progress=kill_one) as other:
        wait_until_ready(other, 2)
        assert other.score(items) == undisturbed
        assert other.deaths == 1

    found = gather(undisturbed | judged)
    assert len(found) == 3 + 3 + 2
    for (_, suite), results in found.items():
        assert [r.id for r in results] == [row.id for row in suites[suite]]
    sums = {sum(r.nll_sum for r in results) for (_, s), results in found.items() if s == "test"}
    assert len(sums) == 2, "the adapter was applied"
    answers = {r.answer for r in found["step-000020", "test"]}
    assert None not in answers
    assert answers - {""}


def test_many_deaths_lose_nothing_and_progress_is_told(training_dir: Path, suites: Suites) -> None:
    spec = spec_of("letters", actors=3)
    items = to_choose(list_checkpoints(training_dir), suites, spec)
    told: list[Progress] = []

    def kill_some(progress: Progress) -> None:
        told.append(progress)
        if progress.done % 4 == 1:
            os.kill(pool.pids[-1], signal.SIGKILL)

    with ScorerPool(spec, load=LetterScorer) as pool:
        undisturbed = pool.score(items)
    with ScorerPool(spec, load=LetterScorer, on_progress=kill_some) as pool:
        wait_until_ready(pool, 3)
        assert pool.score(items) == undisturbed
        assert 2 <= pool.deaths <= 5, "the last one may die when all is done"
    assert [p.done for p in told] == list(range(1, len(items) + 1))
    assert {p.total for p in told} == {len(items)}
    weights = {
        name: sum(r.nll_sum for r in results)
        for (name, suite), results in gather(undisturbed).items()
        if suite == "validation"
    }
    assert weights["base"] < weights["step-000010"], "the files of a checkpoint arrived"


def test_an_item_that_kills_every_actor_ends_the_evaluation_and_is_named(suites: Suites) -> None:
    spec = spec_of("letters", actors=2)
    deadly = (*suites["test"][:100], Row("deadbeef", (), "die"))
    items = to_choose((), {**suites, "test": deadly}, spec)
    wanted = r"3 scorers died, each while base on test rows 65 to 101.*lower evaluate\.batch_size"
    with (
        ScorerPool(spec, load=LetterScorer) as pool,
        pytest.raises(EvaluationError, match=wanted),
    ):
        pool.score(items)
    assert pool.deaths == MAX_TRIES


def test_an_item_that_hangs_is_given_up_on_and_named(suites: Suites) -> None:
    spec = spec_of("letters", actors=2)
    resources = spec.resources.model_copy(update={"item_seconds": 2.0})
    spec = spec.model_copy(update={"resources": resources})
    stuck = (Row("deadbeef", (), "hang"),)
    items = to_choose((), {**suites, "test": stuck}, spec)
    wanted = r"3 scorers died, each while base on test rows 1 to 1 \(no answer for 2 s.*Raise reso"
    with (
        ScorerPool(spec, load=LetterScorer) as pool,
        pytest.raises(EvaluationError, match=wanted),
    ):
        pool.score(items)
    assert pool.deaths == MAX_TRIES


def test_an_error_of_an_item_is_not_tried_again(suites: Suites) -> None:
    spec = spec_of("letters", actors=2)
    items = to_choose((), {**suites, "test": (Row("deadbeef", (), "fail"),)}, spec)
    wanted = "base on test rows 1 to 1: row deadbeef cannot be scored"
    with (
        ScorerPool(spec, load=LetterScorer) as pool,
        pytest.raises(EvaluationError, match=wanted),
    ):
        pool.score(items)
    assert pool.deaths == 0


def test_a_base_that_cannot_be_loaded_ends_the_evaluation_at_once(suites: Suites) -> None:
    spec = spec_of("unloadable", actors=2)
    with (
        ScorerPool(spec, load=LetterScorer) as pool,
        pytest.raises(EvaluationError, match=r"a scorer that starts: .*'unloadable' cannot be"),
    ):
        pool.score(to_choose((), suites, spec))
    assert pool.deaths == 0


def test_a_base_that_kills_every_actor_ends_the_evaluation(suites: Suites) -> None:
    spec = spec_of("deadly", actors=1)
    with (
        ScorerPool(spec, load=LetterScorer) as pool,
        pytest.raises(EvaluationError, match="3 scorers died, each while starting"),
    ):
        pool.score(to_choose((), suites, spec))


def test_a_pool_that_cannot_start_says_what_it_wanted(suites: Suites) -> None:
    spec = spec_of("letters", actors=1, cpus=64)
    wanted = "no scorer could start for 2 s; wanted 1 scorer of 64 CPUs .*the cluster has 4 CPUs "
    said: list[str] = []
    with (
        ScorerPool(
            spec, load=LetterScorer, start_seconds=2.0, tell_seconds=0.5, report=said.append
        ) as pool,
        pytest.raises(EvaluationError, match=wanted),
    ):
        pool.score(to_choose((), suites, spec))
    assert said[0].startswith("waiting for 1 s for 1 scorer of 64 CPUs and 0 GPUs")


def test_more_actors_than_the_cluster_has_room_for_do_no_harm(suites: Suites) -> None:
    spec = spec_of("letters", actors=6, cpus=2)
    items = to_choose((), suites, spec)
    with ScorerPool(spec, load=LetterScorer) as pool:
        assert len(pool.score(items)) == len(items)


def test_actors_end_with_the_pool_even_after_an_error(suites: Suites) -> None:
    spec = spec_of("letters", actors=1)
    with (
        pytest.raises(KeyboardInterrupt),
        ScorerPool(spec, load=LetterScorer) as pool,
    ):
        pool.score(to_choose((), suites, spec)[:1])
        (pid,) = pool.pids
        raise KeyboardInterrupt
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} outlived its pool")


def test_nothing_to_score_starts_nothing() -> None:
    with ScorerPool(spec_of("letters", actors=2), load=LetterScorer) as pool:
        assert pool.score([]) == {}
        assert pool.pids == []
