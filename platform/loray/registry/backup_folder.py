"""The folder that a backup is written in, beside its final place; those of the dead are swept.

Its process holds a file in it locked. The lock ends with the process, however that ends, and the
next backup beside it deletes what is left.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".loray-backup-"
HELD = "held"


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, deleted at the end with what is in it."""
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    held = os.open(folder / "new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    (folder / "new").rename(folder / HELD)  # nobody sees it unlocked
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def sweep(parent: Path) -> None:
    """Delete what backups of dead processes left in `parent`."""
    for mark in parent.glob(f"{PREFIX}*/{HELD}"):
        with suppress(OSError):  # its process lives, or it is another user's
            held = os.open(mark, os.O_RDWR)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(mark.parent, ignore_errors=True)
            finally:
                os.close(held)
