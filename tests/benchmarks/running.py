"""Benchmarks in processes of their own, as a reader of their first lines would start them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY, WORKER_ENVIRONMENT

FOLDER = REPOSITORY / "benchmarks"
SECONDS = 300


def python(*arguments: str | Path) -> str:
    """What an interpreter prints that sees loray and the benchmarks; it must end well."""
    folders = [str(FOLDER), *WORKER_ENVIRONMENT["PYTHONPATH"].split(os.pathsep)]
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(folders)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def benchmark(name: str, *arguments: str | Path) -> list[str]:
    """The lines that a benchmark prints; the first names the commit."""
    lines = python(FOLDER / f"{name}.py", *arguments).splitlines()
    assert lines[0].startswith(("commit ", "no commit"))
    return lines[1:]
