"""The guard's decisions, from losses alone."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.artifacts.diagnosis import Diagnosis, SuspectRow, from_lines, to_lines
from loray.errors import TrainingError
from loray.spec.train import GuardSpec
from loray.train.guard import RECENT, Guard, GuardState, Judgement


def falling(count: int, *, seed: int = 0, noise: float = 0.1, start: float = 3.0) -> list[float]:
    """Losses of a healthy run."""
    draw = random.Random(seed)
    return [start * 0.99**at * math.exp(draw.gauss(0, noise)) for at in range(count)]


def guard_of(untrained: float = 3.0, **spec: int) -> Guard:
    """A guard that has seen what the model loses before it learns."""
    guard = Guard(GuardSpec(**spec))
    guard.state.untrained = [untrained * share for share in (0.9, 0.95, 1.0, 1.05, 1.1)]
    return guard


def watch(losses: list[float], guard: Guard, *, saved: int = 0) -> tuple[int, Judgement] | None:
    """The first step that is judged, and how."""
    for step, loss in enumerate(losses):
        found = guard.judge(step, loss, 1.0, saved=saved)
        if found is not None:
            return step, found
    return None


@given(st.integers(0, 10_000), st.floats(0.0, 0.1))
def test_a_healthy_run_is_left_alone(seed, noise):
    assert watch(falling(300, seed=seed, noise=noise), guard_of()) is None


def test_divergence_in_the_first_steps_restarts_at_a_tenth_and_in_the_end_gives_up():
    guard = guard_of()
    losses = [3.0, *(4.0 + at for at in range(20))]
    for restart, factor in ((1, 0.1), (2, 0.01)):
        step, found = watch(losses, guard)
        assert step < 8
        assert found.diagnosis.kind == "divergence"
        assert found.back_to == "beginning"
        guard.set_back(guard.state)
        guard.state.latest.clear()
        assert guard.state.restarts == restart
        assert guard.state.rate_factor == pytest.approx(factor)
    with pytest.raises(TrainingError, match=r"divergence.*after 2 restart.*learning_rate"):
        watch(losses, guard)


def test_a_loss_that_rises_for_a_moment_is_no_divergence():
    assert watch([3.0, 6.0, 5.0, 3.1, 2.9, *falling(60)], guard_of()) is None


def test_a_first_batch_that_is_easy_makes_the_others_no_divergence():
    assert watch([0.2, *falling(60)], guard_of()) is None


def test_after_the_watched_steps_a_rising_loss_is_no_divergence():
    losses = [*falling(60), *(2.0 + 0.02 * at for at in range(120))]
    assert watch(losses, guard_of()) is None


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (2.0, math.nan)])
def test_what_is_no_number_restarts_early_and_rolls_back_late(loss, norm):
    guard = guard_of()
    found = guard.judge(3, loss, norm, saved=0)
    assert (found.diagnosis.kind, found.back_to) == ("not_finite", "beginning")
    for step, value in enumerate(falling(60)):
        assert guard.judge(step, value, 1.0, saved=0) is None
    found = guard.judge(60, loss, norm, saved=40)
    assert (found.diagnosis.kind, found.back_to) == ("not_finite", "checkpoint")
    assert found.suspects == (59, 60)
    assert guard.state.rate_factor == pytest.approx(0.1)


def test_a_spike_goes_back_without_its_data_and_every_other_step_keeps_its_own():
    guard = guard_of()
    losses = falling(200)
    losses[120] = 9.0
    step, found = watch(losses, guard, saved=100)
    assert (step, found.back_to, found.suspects) == (120, "checkpoint", (119, 120))
    seen = [guard.data_step(step) for step in range(198)]
    assert seen == [step for step in range(200) if step not in (119, 120)]


def test_a_loss_that_jumps_about_hides_no_batch_that_is_worse_than_before_training():
    """As 11.2 was among losses of 0.5 to 1.9, of which six deviations were a factor of 24."""
    guard = guard_of()
    jumping = [0.4, 1.6] * 40
    step, erratic = watch(jumping, guard)
    assert (step, erratic.diagnosis.kind) == (31, "erratic")
    guard.note(erratic.diagnosis)
    assert watch([*jumping[:60], 4.5], guard, saved=48) is None
    found = guard.judge(61, 11.2, 1.0, saved=48)
    assert (found.diagnosis.kind, found.back_to) == ("spike", "checkpoint")


def test_a_checkpoint_that_is_followed_by_a_spike_at_once_is_spoilt_itself():
    guard = guard_of()
    losses = falling(200)
    losses[120] = 9.0
    _, found = watch(losses, guard, saved=120)
    assert (found.back_to, found.suspects) == ("earlier", (119, 120))


def test_data_before_the_checkpoint_is_not_passed_over():
    guard = guard_of()
    for step, loss in enumerate(falling(60)):
        guard.judge(step, loss, 1.0, saved=0)
    found = guard.judge(0, math.nan, 1.0, saved=0)
    assert found.suspects == (0,)


def test_divergence_after_a_healthy_start_is_no_spike():
    guard = guard_of(untrained=3.0)
    losses = [*falling(30), *(12.0 + at for at in range(20))]
    seen = (guard.judge(step, loss, 1.0, saved=0) for step, loss in enumerate(losses))
    found = next(judged for judged in seen if judged and judged.back_to)
    assert (found.diagnosis.kind, found.diagnosis.step) == ("divergence", 35)


def test_a_run_that_was_set_back_is_held_against_the_losses_of_where_it_is():
    guard, early = guard_of(), Guard(GuardSpec())
    losses = falling(120, noise=0.02)
    for step, loss in enumerate(losses):
        guard.judge(step, loss, 1.0, saved=0)
    found = guard.judge(120, 9.0, 1.0, saved=0)
    decided = guard.state
    guard.take_over(early.state)
    guard.set_back(decided)
    assert found.back_to == "checkpoint"
    assert guard.state.rollbacks == 1
    again = [guard.judge(step, loss, 1.0, saved=0) for step, loss in enumerate(losses)]
    assert again == [None] * len(losses)


def test_a_loss_that_stays_on_another_level_is_noted_and_then_usual():
    guard = guard_of(max_rollbacks=1)
    losses = [*falling(120, start=1.0, noise=0.02), *falling(800, start=2.2, noise=0.02)]
    seen = [guard.judge(step, loss, 1.0, saved=0) for step, loss in enumerate(losses)]
    assert [judged.back_to for judged in seen if judged] == ["checkpoint"]
    assert guard.state.recent[-1] == losses[-1]


def test_a_second_spike_is_found_in_the_data_that_is_left():
    guard = guard_of()
    losses = falling(200, noise=0.02)
    losses[120] = 9.0
    watch(losses, guard, saved=100)
    for step in range(100, 130):
        assert guard.judge(step, losses[119], 1.0, saved=100) is None
    found = guard.judge(130, 9.0, 1.0, saved=130)
    assert found.suspects == (131, 132)
    assert guard.state.skipped == [119, 120, 131, 132]


def test_a_spike_in_the_watched_steps_and_one_too_many_are_noted_only():
    guard = guard_of(max_rollbacks=0)
    losses = falling(100)
    losses[30] = 9.0
    step, found = watch(losses, guard)
    assert (step, found.back_to, found.suspects) == (30, None, (30,))
    for at, loss in enumerate(falling(60, noise=0.02)):
        guard.judge(at, loss, 1.0, saved=0)
    found = guard.judge(80, 9.0, 1.0, saved=0)
    assert found.diagnosis.kind == "spike"
    assert found.back_to is None
    with pytest.raises(TrainingError, match="rollback"):
        guard.judge(81, math.nan, 1.0, saved=0)


def test_a_loss_that_jumps_about_is_noted_once():
    guard = guard_of()
    losses = [1.0 if at % 2 else 2.6 for at in range(RECENT)]
    step, found = watch(losses, guard)
    assert step == RECENT - 1
    assert found.diagnosis.kind == "erratic"
    assert len(found.suspects) == 5
    guard.note(found.diagnosis)
    assert guard.judge(RECENT, 2.6, 1.0, saved=0) is None


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_guard_that_was_saved_decides_as_one_that_was_not(cut, seed):
    losses = falling(200, seed=seed)
    losses[150] = 8.0
    whole, first = guard_of(), guard_of()
    one = [whole.judge(step, loss, 1.0, saved=0) for step, loss in enumerate(losses)]
    other = [first.judge(step, loss, 1.0, saved=0) for step, loss in enumerate(losses[:cut])]
    for found in filter(None, other):
        first.note(found.diagnosis)
    second = guard_of()
    second.take_over(GuardState.from_json(first.state.to_json()))
    other += [second.judge(step, losses[step], 1.0, saved=0) for step in range(cut, 200)]
    assert [found and found.diagnosis for found in one] == [f and f.diagnosis for f in other]


def test_diagnoses_survive_being_written():
    rows = (SuspectRow("00ff", "it is odd", "sources.0/a.jsonl:7"), SuspectRow("01aa", "twice"))
    found = [Diagnosis("spike", 9, "high", "went on", rows), Diagnosis("plateau", 9, "flat", "-")]
    assert from_lines(to_lines(found)) == found
    assert str(found[0]) == (
        "step 9: spike: high; went on\n    sources.0/a.jsonl:7: it is odd\n    01aa: twice"
    )
