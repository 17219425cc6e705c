"""Workers on a CPU, measured once on six shapes; `test_resident.py` measures two again."""

import pytest

from tests.house import REPOSITORY
from tests.planner.measured_sizes import Size, sizes, table

AGREES = 0.05
"""Largest relative error; asked for are 15%."""
PAGE = REPOSITORY / "docs" / "measurements" / "memory.md"


@pytest.mark.parametrize("size", sizes(), ids=lambda size: size.setting)
def test_a_worker_was_as_large_as_is_planned(size: Size):
    assert abs(size.error) < AGREES
    for moment in ("step", "checkpoint"):
        assert size.planned[moment] == pytest.approx(size.measured[moment], rel=AGREES)


def test_six_shapes_from_4_million_to_a_billion_parameters_were_measured():
    parameters = sorted({size.parameters for size in sizes()})
    assert len(parameters) == 6
    assert parameters[0] == pytest.approx(4e6, rel=0.1)
    assert parameters[-1] == pytest.approx(1e9, rel=0.1)


def test_the_table_is_that_of_the_docs():
    """Write it anew with `python -m tests.planner.measured_sizes`."""
    assert "\n".join(table()) in PAGE.read_text(encoding="utf-8")
