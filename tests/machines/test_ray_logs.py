import logging

import pytest

from loray.machines.ray_logs import ray_level


@pytest.mark.parametrize(
    ("level", "wanted"), [(logging.WARNING, logging.ERROR), (logging.INFO, logging.WARNING)]
)
def test_rays_warnings_are_for_those_who_ask_for_details(level: int, wanted: int) -> None:
    root = logging.getLogger()
    before = root.level
    root.setLevel(level)
    try:
        assert ray_level() == wanted
    finally:
        root.setLevel(before)
