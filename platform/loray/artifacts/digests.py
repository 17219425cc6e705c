"""SHA-256 of files: computed, or remembered for as long as a file is untouched.

A remembered digest counts while the file's size, modification time, change time and inode are what
they were. The change time cannot be set back, so an edit that restores the modification time is
seen too. What cannot be seen is a bit that rots on the disk itself.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

SETTLE_NANOSECONDS = 2_000_000_000
"""A file that changed less than this ago may change again within one tick of its times."""
WORTH_REMEMBERING = 1 << 20
"""Bytes; smaller files are read again in less time than it takes to look them up."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remembered_digest(path: Path) -> str:
    """`file_digest`, from the user's cache while the file is untouched.

    The cache is `$XDG_CACHE_HOME/loray/digests` (`~/.cache` by default), a file a folder. A cache
    that is damaged, or cannot be written, only costs time.
    """
    before = _stamp(path)
    if before[0] < WORTH_REMEMBERING:
        return file_digest(path)
    entry = _entry_of(path)
    known = _read(entry)
    match known.get(path.name):
        case [*stamp, str(digest)] if stamp == before:
            return digest
    found = file_digest(path)
    is_settled = time.time_ns() - max(before[1], before[2]) > SETTLE_NANOSECONDS
    if is_settled and _stamp(path) == before:
        _write(entry, {**_read(entry), path.name: [*before, found]})
    return found


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def cache_home() -> Path:
    """Where loray keeps for a user what only saves time: `$XDG_CACHE_HOME/loray`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loray"


def _entry_of(path: Path) -> Path:
    folder = hashlib.sha256(os.fsencode(path.absolute().parent)).hexdigest()[:32]
    return cache_home() / "digests" / f"{folder}.json"


def _read(entry: Path) -> dict[str, object]:
    try:
        known = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(entry: Path, known: dict[str, object]) -> None:
    partial = entry.with_suffix(f".{os.getpid()}.partial")
    try:
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_text(json.dumps(known), encoding="utf-8")
        partial.replace(entry)
    except OSError:  # a full disk, a read-only home: the digest is right all the same
        with suppress(OSError):
            partial.unlink()
