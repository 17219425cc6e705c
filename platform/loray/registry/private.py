"""Folders and files that only their owner may read: what is kept here holds weights and rows."""

import os
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def private_folder(path: Path) -> Path:
    """`path`, made with mode 0700 if it is missing; parents that are missing follow the umask.

    Raises:
        OSError: there is something else at that place, or it may not be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    return path


def private_file(path: Path) -> Path:
    """`path`, made empty with mode 0600 if it is missing.

    Raises:
        OSError: it may not be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    return path


def write_private(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600, down to the disk.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def make_private(folder: Path) -> None:
    """Take all rights from others on a folder and on the files within it."""
    folder.chmod(FOLDER_MODE)
    for path in folder.iterdir():
        path.chmod(FILE_MODE)


def sync_folder(path: Path) -> None:
    """Bring a folder's entries, or a file, down to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
