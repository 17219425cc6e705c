"""The disk that a run writes to: can it be written, and is anything left of it."""

import errno
import re
import shutil
import tempfile
from pathlib import Path

from loray.errors import ArtifactError
from loray.pages.visible import one_line

LEAST_BYTES = 64 * 2**20
"""With less free nothing is started: the smallest run writes some megabytes of logs and state."""
FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXT = re.compile(r"No space left on device|StorageFull|Disk quota exceeded")


def refuse_unwritable(folder: Path) -> None:
    """Make `folder` if it is missing, and see that files can be written there.

    Raises:
        ArtifactError: they cannot, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        what = "free some space there" if error.errno in FULL else "make it writable"
        raise ArtifactError(
            f"{folder} cannot be written ({error.strerror}); nothing was started; {what}, or set "
            "storage.root to another place"
        ) from error
    if (free := shutil.disk_usage(folder).free) < LEAST_BYTES:
        raise ArtifactError(
            f"{folder} has {free / 2**20:.0f} MiB free; wanted at least "
            f"{LEAST_BYTES / 2**20:.0f}; nothing was started; free some space there, or set "
            "storage.root to another place"
        )


def full_disk_words(error: BaseException) -> str | None:
    """What to say of a disk that ran full in the middle of a run; None of other errors.

    Libraries in other languages raise errors of their own, whose text alone tells.
    """
    number, place = getattr(error, "errno", None), getattr(error, "filename", None)
    if number not in FULL and _FULL_TEXT.search(str(error)) is None:
        return None
    where = f" at {place}" if place else ""
    what = getattr(error, "strerror", None) or one_line(str(error), longest=200)
    return (
        f"the disk is full{where} ({what}); what was committed is safe; free some space there and "
        "run this again to continue"
    )
