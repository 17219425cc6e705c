"""Local folders that do not outlive their process for long, even where it is killed.

Each lies in `$TMPDIR/loray-<user id>`, beside a file that its process holds locked. The lock ends
with the process, however that ends; whoever makes the next folder deletes those of the dead.
"""

import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loray.errors import ArtifactError

LOCK = "lock"
"""Held by whoever looks for folders of the dead, or makes one."""
HELD = ".held"
"""How the names of the locked files end."""


class ScratchFolder:
    """A folder that is deleted when it is closed or collected, or after its process died."""

    def __init__(self, kind: str) -> None:
        """Make it, and delete those of dead processes.

        Args:
            kind: begins the folder's name.

        Raises:
            ArtifactError: the folder for all of them belongs to another user.
        """
        base = _base_folder()
        lock = _opened(base / LOCK)
        try:
            # Held, for a folder that is just being made looks like a dead process's.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(base)
            self.path = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=base))
            held = _opened(_mark_of(self.path))
            fcntl.flock(held, fcntl.LOCK_EX)
        finally:
            os.close(lock)
        self.close = weakref.finalize(self, _delete, self.path, held)


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """A `ScratchFolder`, deleted at the end."""
    folder = ScratchFolder(kind)
    try:
        yield folder.path
    finally:
        folder.close()


def _base_folder() -> Path:
    base, user = Path(tempfile.gettempdir()) / f"loray-{os.getuid()}", os.getuid()
    base.mkdir(mode=0o700, exist_ok=True)
    owner = base.lstat().st_uid
    if owner != user or base.is_symlink():
        raise ArtifactError(
            f"{base} is a link, or belongs to user {owner} and not to {user}; delete it, or set "
            "TMPDIR to a folder of your own"
        )
    return base


def _sweep(base: Path) -> None:
    for folder in {found.with_suffix("") for found in base.iterdir() if found.name != LOCK}:
        held = _opened(_mark_of(folder))
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # its process lives
            os.close(held)
        else:
            _delete(folder, held)


def _delete(folder: Path, held: int) -> None:
    """Delete a folder that this process holds, and let go of it."""
    shutil.rmtree(folder, ignore_errors=True)
    _mark_of(folder).unlink(missing_ok=True)
    os.close(held)


def _mark_of(folder: Path) -> Path:
    return folder.with_name(folder.name + HELD)


def _opened(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
