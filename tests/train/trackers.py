"""Trackers as a user would write them, sound and not."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from loray.train.trackers import TrackedRun


class Notes:
    """Writes what it hears to `notes/<run id>.txt`, relative to where the command runs."""

    def start(self, run: TrackedRun) -> None:
        Path("notes").mkdir(exist_ok=True)
        self.path = Path("notes") / f"{run.id}.txt"
        self.note(f"start {run.name} {run.steps_done}/{run.steps} seed={run.spec['seed']}")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.note(f"{step} {metrics['loss']}")

    def finish(self) -> None:
        self.note("finish")

    def note(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(line + "\n")


class FailsLate(Notes):
    """Fails at its third step."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if step == 3:
            raise ConnectionError("no route to the tracking server")
        super().log(step, metrics)


class FailsAtOnce(Notes):
    """Cannot start."""

    def start(self, run: TrackedRun) -> None:
        raise PermissionError("no key")


class Dies(Notes):
    """Takes its process with it."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        os._exit(13)


class Hangs(Notes):
    """Never comes back."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        time.sleep(3600)


class Slow(Notes):
    """Takes a second for each step."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        time.sleep(1)
        self.note(str(step))


class NeedsSettings(Notes):
    """Cannot be made without an argument."""

    def __init__(self, url: str) -> None:
        self.url = url


class Deaf:
    """Hears nothing."""

    def start(self, run: TrackedRun) -> None:
        """Nothing."""


def function() -> None:
    """No class."""
