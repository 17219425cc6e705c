"""Commands as processes, and a project that was applied without being disturbed."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loray.spec.load import load_checked
from tests.end_to_end.commands import QUICK, Command
from tests.end_to_end.projects import write_project
from tests.training_here import training_here


@pytest.fixture
def loray() -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(folder: Path, *words: str, address: str | None = None) -> Command:
        started.append(Command(folder, *words, address=address))
        return started[-1]

    yield start
    for command in started:
        command.kill()


@pytest.fixture(scope="session")
def left_alone(
    tiny_model_dir: Path, alone: None, ray_cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project that was applied without being disturbed."""
    from loray.pipeline.apply import apply

    folder = write_project(tmp_path_factory.mktemp("alone"), tiny_model_dir)
    with contextlib.chdir(folder), training_here():
        apply(load_checked(folder / "run.yaml", QUICK), report=lambda _: None)
    return folder
