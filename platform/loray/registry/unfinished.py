"""The folder that a backup or export is written in, beside its place; those of the dead are swept.

Its process holds a file in it locked. The lock ends with the process, however that ends, and the
next one beside it deletes what is left.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HELD = "held"


@contextmanager
def unfinished_folder(parent: Path, kind: str) -> Iterator[Path]:
    """A new folder `.loray-<kind>-*` in `parent`, deleted at the end with what is in it."""
    prefix = f".loray-{kind}-"
    sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    held = os.open(folder / "new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    (folder / "new").rename(folder / HELD)  # nobody sees it unlocked
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def sweep(parent: Path, prefix: str) -> None:
    """Delete what dead processes left in `parent`."""
    for mark in parent.glob(f"{prefix}*/{HELD}"):
        with suppress(OSError):  # its process lives, or it is another user's
            held = os.open(mark, os.O_RDWR)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(mark.parent, ignore_errors=True)
            finally:
                os.close(held)
