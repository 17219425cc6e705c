"""A folder that is made beside its place and gets its name at once, when it is complete.

What is downloaded or half made lies in `.NAME.pull` beside the folder. A pull that is killed
leaves it, and the next one goes on there. One process at a time works in it.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loray.errors import LeaseError, ModelError, SpecError, UnsupportedError

MIB = 2**20


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """The folder where `folder` is made, for this process alone.

    Raises:
        LeaseError: another process works in it.
        ModelError: it cannot be made.
    """
    stage = folder.parent / f".{folder.name}.pull"
    try:
        stage.mkdir(parents=True, exist_ok=True)
        lock = os.open(stage / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ModelError(
            f"{stage} cannot be written ({error.strerror}); nothing was downloaded; make "
            f"{folder.parent} writable, or name another folder"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LeaseError(
                f"another process is pulling into {folder}; wait for it, or stop it, then run this "
                "again"
            ) from None
        yield stage
    except (SpecError, UnsupportedError):  # nothing of it is of use to another try
        shutil.rmtree(stage, ignore_errors=True)
        raise
    finally:
        os.close(lock)
        if stage.is_dir() and [path.name for path in stage.iterdir()] == ["lock"]:
            shutil.rmtree(stage, ignore_errors=True)


def commit(stage: Path, made: Path, folder: Path) -> None:
    """Give what was `made` in `stage` its name, and delete the rest.

    Raises:
        SpecError: something else has that name meanwhile.
    """
    for path in sorted(made.rglob("*")):
        if path.is_file():
            path.chmod(path.stat().st_mode | 0o044)  # safetensors makes files of mode 0600
            _flush(path)
    try:
        made.rename(folder)  # takes the place of an empty folder
    except OSError as error:
        if folder.exists():
            raise other_content(folder) from error
        raise
    _flush(folder.parent)
    shutil.rmtree(stage, ignore_errors=True)


def other_content(folder: Path) -> SpecError:
    """What is said of a folder that holds something else."""
    return SpecError(
        f"{folder} exists and holds something else; nothing was changed; name another folder, or "
        "move that one away"
    )


def is_free(folder: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    if folder.is_symlink() and not folder.exists():
        return False
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def check_room(place: Path, wanted: float) -> None:
    """Before anything is downloaded.

    Args:
        wanted: bytes.

    Raises:
        ModelError: there is too little room.
    """
    free = shutil.disk_usage(place).free
    if free < wanted:
        raise ModelError(
            f"{place} has {free / MIB:,.0f} MiB free; wanted {wanted / MIB:,.0f}; nothing was "
            "downloaded; free some space there, or name a folder on another disk"
        )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
