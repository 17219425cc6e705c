"""Which learning rate a curve speaks for."""

import math

import pytest

from loray.errors import TrainingError
from loray.train.rates import RateCurve, RateRange, advise, is_over


def curve(turn: float, *, steps: int = 60) -> RateCurve:
    """Losses that fall up to the rate `turn` and rise after it."""
    rates = [RateRange(1e-6, 1.0, steps).rate(step) for step in range(steps)]
    losses, loss = [], 4.0
    for rate in rates:
        losses.append(loss)
        loss = loss * (1 - 0.05 * min(rate / 1e-4, 1.0)) if rate < turn else loss * 1.3
    return RateCurve(tuple(rates), tuple(losses))


def test_rates_rise_by_one_factor_from_the_lowest_to_the_highest():
    rates = [RateRange(1e-5, 1e-1, 5).rate(step) for step in range(5)]
    assert rates == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])


@pytest.mark.parametrize("turn", [1e-3, 1e-2, 1e-1])
def test_the_suggestion_is_a_tenth_of_the_rate_at_which_the_loss_turns(turn):
    found = advise(curve(turn))
    assert not found.is_open
    assert turn / 2 < found.turn < turn * 3  # the mean lags behind by a few steps
    assert found.suggested == pytest.approx(found.turn / 10, rel=0.05)


def test_a_loss_that_never_turns_is_said_to_be_open():
    assert advise(curve(10.0)).is_open


def test_a_loss_that_never_falls_speaks_for_no_rate():
    flat = RateCurve((1e-3, 1e-2, 1e-1), (3.0, 3.0, 3.1))
    with pytest.raises(TrainingError, match=r"fell at no rate from 0\.001 to 0\.1.*--highest"):
        advise(flat)


def test_the_run_is_over_once_the_loss_has_doubled_or_is_no_number():
    assert not is_over([3.0])
    assert not is_over([3.0, 2.0, 2.0, 3.0])
    assert is_over([3.0, 2.0, 1.0, 1.0, 1.0, 9.0, 9.0])
    assert is_over([3.0, math.nan])


def test_a_loss_that_is_no_number_is_not_the_lowest():
    found = advise(RateCurve((1e-4, 1e-3, 1e-2, 1e-1), (3.0, 2.0, 2.5, math.nan)))
    assert found.turn == 1e-3


def test_a_base_whose_loss_is_no_number_speaks_for_no_rate():
    with pytest.raises(TrainingError, match="no number before anything was learned"):
        advise(RateCurve((1e-4,), (math.nan,)))
