"""A checkpoint's folder as a value, so that it can be sent to an actor on another machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from loray.artifacts.scratch import scratch_folder

Files = Mapping[str, bytes]
"""A folder's files by their path in it, with forward slashes."""


def pack(folder: Path) -> Files:
    """The files under `folder`."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@contextmanager
def unpacked(files: Files) -> Iterator[Path]:
    """A folder with these files, for as long as the body runs."""
    with scratch_folder("candidate") as scratch:
        for name, data in files.items():
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        yield scratch
