import pytest

from loray.pages.scale import Axis, round_ticks, tick_label


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (2.1, 6.9, (2.0, 3.0, 4.0, 5.0, 6.0, 7.0)),
        (128.0, 545.0, (100.0, 200.0, 300.0, 400.0, 500.0, 600.0)),
    ],
)
def test_ticks_are_round_and_hold_the_values(
    low: float, high: float, ticks: tuple[float, ...]
) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [-5.0], [1e-9, 2e-9], [1e12, 3e12]])
def test_any_values_have_an_axis(values: list[float]) -> None:
    axis = Axis.over(values, start=200.0, end=10.0)
    assert axis.low < axis.high
    assert all(10.0 <= axis.place(value) <= 200.0 for value in values)
    assert 2 <= len(axis.ticks) <= 8


def test_a_snug_axis_ends_at_its_values() -> None:
    axis = Axis.over([1.0, 400.0], start=0.0, end=100.0, is_snug=True)
    assert (axis.place(1.0), axis.place(400.0)) == (0.0, 100.0)
    assert axis.ticks == (100.0, 200.0, 300.0, 400.0)


def test_labels_have_the_decimals_that_tell_ticks_apart() -> None:
    assert [tick_label(t, (0.0, 0.05, 0.1)) for t in (0.0, 0.05, 0.1)] == ["0.00", "0.05", "0.10"]
    assert tick_label(20000.0, (0.0, 20000.0)) == "20,000"
