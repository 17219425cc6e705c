"""Folders that nobody is left to delete are deleted by the next who makes one."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loray.artifacts.scratch import ScratchFolder, scratch_folder
from loray.errors import ArtifactError

HOLD = """
import sys, time
from loray.artifacts.scratch import ScratchFolder
folder = ScratchFolder("tokens")
(folder.path / "part").write_bytes(b"x" * 1000)
print(folder.path, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, of this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def holder(repository: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repository / "platform")},
    )
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.wait()
    process.stdout.close()


def names(temporary: Path) -> list[str]:
    return sorted(path.name for path in (temporary / f"loray-{os.getuid()}").iterdir())


def test_what_a_killed_process_held_goes_with_the_next_folder_and_what_is_held_stays(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    process, held = holder
    mine = ScratchFolder("checkpoint")
    assert (held / "part").stat().st_size == 1000, "its process lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert held.exists()
    with scratch_folder("tokens") as folder:
        assert folder.is_dir()
        assert not held.exists()
        assert mine.path.exists(), "this process holds it"


def test_nothing_is_left_of_a_folder_that_is_closed_or_collected(temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder("tokens") as folder:
        (folder / "deep").mkdir()
        1 / 0  # noqa: B018
    other = ScratchFolder("tokens")
    assert len(names(temporary)) == 3  # and its mark, and the lock
    del other
    assert names(temporary) == ["lock"]


def test_what_was_left_before_it_could_be_held_is_deleted_too(temporary: Path) -> None:
    base = temporary / f"loray-{os.getuid()}"
    (base / "tokens-early").mkdir(parents=True)
    (base / "tokens-late.held").touch()
    with scratch_folder("tokens") as folder:
        assert names(temporary) == sorted(["lock", folder.name, f"{folder.name}.held"])


def test_a_folder_that_someone_else_put_there_is_refused(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (temporary / f"loray-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(ArtifactError, match=r"is a link.*set TMPDIR to a folder of your own"):
        ScratchFolder("tokens")
    assert list(elsewhere.iterdir()) == []
