"""`loray` as a process, its output read as it comes, and told to stop by real signals."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

DEADLINE_SECONDS = 300
INTERRUPTED = "interrupted; apply again to continue where it stopped"
QUICK = (
    "resources.workers=1", "train.strategy={kind: plain}", "evaluate.max_rows=8",
    "train.steps=600", "train.checkpoint_every=150", "train.vitals_every=600",
)  # fmt: skip
"""One worker, whose training takes so long that it can be interrupted twice."""
SETTINGS = tuple(word for each in QUICK for word in ("--set", each))


@dataclass
class Ended:
    """How a command ended."""

    code: int
    lines: list[str]
    seconds: float
    """From the signal on."""


class Command:
    """`loray` in a process of its own; its output is read as it comes."""

    def __init__(self, folder: Path, *words: str, address: str | None = None) -> None:
        script = "import sys; from loray.cli.main import main; sys.exit(main())"
        path = os.pathsep.join([str(REPOSITORY / "platform"), str(REPOSITORY)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        environment.pop("RAY_ADDRESS", None)
        environment |= {} if address is None else {"RAY_ADDRESS": address}
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *words],
            cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.rstrip() for line in self._process.stdout if line.strip())

    def wait_for(self, found: Callable[[str], bool]) -> str:
        """The first line that is looked for."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if found(line):
                    return line
            assert self._process.poll() is None, self.lines
            time.sleep(0.02)
        raise AssertionError(self.lines)

    def signal(self, number: int) -> Ended:
        """Send a signal, and wait for the end."""
        began = time.monotonic()
        self._process.send_signal(number)
        return self.end(began)

    def end(self, began: float | None = None) -> Ended:
        code = self._process.wait(timeout=DEADLINE_SECONDS)
        self._reader.join(timeout=10)
        return Ended(code, self.lines, time.monotonic() - (began or time.monotonic()))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid


def says(text: str) -> Callable[[str], bool]:
    return lambda line: text in line


def check_stopped(ended: Ended, number: int, message: str = INTERRUPTED) -> None:
    assert ended.code == 128 + number, ended.lines
    assert ended.lines.count(message) == 1, ended.lines
    assert not any(
        mark in line for line in ended.lines for mark in ("Traceback", "***", " @ ", "Error")
    ), ended.lines
