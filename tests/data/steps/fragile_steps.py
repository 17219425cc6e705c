"""Steps that go wrong once: at the row that ends in "once at FILE", while there is no such file."""

import os
import re
import signal
import time
from pathlib import Path

from loray.data.steps.own import Turn

MARK = re.compile(r"once at (\S+)\Z")


def die_once(turns: list[Turn]) -> list[Turn]:
    """Kill the process that works on the row."""
    if _is_first_time(turns):
        os.kill(os.getpid(), signal.SIGKILL)
    return turns


def stay_once(turns: list[Turn]) -> list[Turn]:
    """Never come back from the row."""
    if _is_first_time(turns):
        time.sleep(600)
    return turns


def _is_first_time(turns: list[Turn]) -> bool:
    found = MARK.search(turns[0]["content"])
    if found is None or Path(found[1]).exists():
        return False
    Path(found[1]).touch()
    return True
