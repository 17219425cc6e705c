"""Workers on a CPU, measured once on six shapes; `test_resident.py` measures two again."""

from pathlib import Path

import pytest

from tests.house import REPOSITORY
from tests.planner.measured_sizes import AS_IT_RUNS, GIVEN_BACK, UNDER_RAY, Size, sizes, table

AS_IT_RUNS_AGREES = 0.15
"""Largest relative error with what glibc keeps, which is an estimate."""
AGREES, MOMENT_AGREES = 0.05, 0.07
"""Without: of what follows from closed forms, at the peak and at every moment."""
PAGE = REPOSITORY / "docs" / "measurements" / "memory.md"


@pytest.mark.parametrize(
    "size", [*sizes(AS_IT_RUNS), *sizes(UNDER_RAY)], ids=lambda size: size.setting
)
def test_a_worker_was_as_large_as_is_planned(size: Size):
    assert abs(size.error) < AS_IT_RUNS_AGREES


@pytest.mark.parametrize("size", sizes(GIVEN_BACK), ids=lambda size: size.setting)
def test_a_worker_that_gives_back_what_it_frees_was_as_large_at_every_moment(size: Size):
    assert abs(size.error) < AGREES
    for moment in ("step", "checkpoint"):
        assert size.planned[moment] == pytest.approx(size.measured[moment], rel=MOMENT_AGREES)


def test_six_shapes_from_4_million_to_a_billion_parameters_were_measured():
    parameters = sorted({size.parameters for size in sizes(AS_IT_RUNS)})
    assert len(parameters) == 6
    assert parameters[0] == pytest.approx(4e6, rel=0.1)
    assert parameters[-1] == pytest.approx(1e9, rel=0.1)


@pytest.mark.parametrize("file", [AS_IT_RUNS, GIVEN_BACK, UNDER_RAY], ids=lambda file: file.name)
def test_the_tables_are_those_of_the_docs(file: Path):
    """Write them anew with `python -m tests.planner.measured_sizes`."""
    assert "\n".join(table(file)) in PAGE.read_text(encoding="utf-8")
