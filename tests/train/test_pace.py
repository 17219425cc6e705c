import pytest

from loray.train.follow import step_line
from loray.train.pace import Pace


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "45 s left"), (10.0, "15 min left"), (3600.0, "90.0 h left")]
)
def test_the_time_that_is_left_follows_from_the_steps_so_far(seconds: float, words: str) -> None:
    pace = Pace(100)
    assert pace.left(5, 1000.0) == ""  # how long the first one took includes loading
    assert pace.left(10, 1000.0 + 5 * seconds) == words
    assert pace.left(100, 2000.0) == ""


def test_workers_that_begin_again_are_counted_anew() -> None:
    pace = Pace(100)
    pace.left(50, 0.0)
    pace.left(60, 10.0)
    assert pace.left(40, 500.0) == ""
    assert pace.left(50, 510.0) == "50 s left"


def test_a_step_says_how_far_the_run_and_its_data_are() -> None:
    line = "step 50/200  loss 2.346  1,234 tokens/s"
    assert step_line(50, 200, 2.3456, 1234.4, None) == line
    assert step_line(50, 200, 2.3456, 1234.4, 0.75) == f"{line}  epoch 0.75 of 3.00"
