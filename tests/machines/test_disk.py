import errno
import os
from pathlib import Path

import pytest

from loray.errors import ArtifactError
from loray.machines import disk
from loray.machines.disk import full_disk_words, refuse_unwritable


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("place", ["file/below", "/proc/loray", "/sys/kernel"])
def test_what_cannot_be_written_is_refused_by_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"cannot be written \(.*nothing was started"):
        refuse_unwritable(tmp_path / place)


def test_too_little_room_is_refused_in_mebibytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LEAST_BYTES", 2**60)
    with pytest.raises(ArtifactError, match=r"has \d+ MiB free; wanted at least"):
        refuse_unwritable(tmp_path)


def test_a_disk_that_runs_full_is_told_from_other_errors() -> None:
    with (
        pytest.raises(OSError, match="No space") as caught,
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert caught.value.errno == errno.ENOSPC
    words = full_disk_words(caught.value)
    assert words is not None
    assert words.startswith("the disk is full (No space left on device)")
    of_rust = RuntimeError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    )
    assert "the disk is full (Error while serializing" in (full_disk_words(of_rust) or "")
    assert full_disk_words(RuntimeError("shapes differ")) is None
    assert "at /some/file" in (full_disk_words(OSError(errno.EDQUOT, "x", "/some/file")) or "")
    assert full_disk_words(OSError(errno.EACCES, os.strerror(errno.EACCES))) is None
