"""Small files under `<storage root>/registry/`, beside the blobs, on local disk or S3.

Each appears all at once, whole. Nothing here is a commit point: only the database is.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from loray.errors import RegistryError
from loray.registry.private import private_folder, sync_folder, write_private

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


class RootFiles(Protocol):
    """Where they lie; a key is a path with slashes, such as `events/000000`."""

    place: str
    """The folder of all of them, for messages."""

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted; nothing when there is no such folder."""

    def read(self, key: str) -> bytes | None:
        """A file's bytes; None when there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Make or replace a file."""

    def delete(self, key: str) -> None:
        """Drop a file, if it is there."""


def open_root_files(root: str) -> RootFiles:
    """The files under a storage root: a local folder or `s3://bucket/prefix`."""
    return S3Files(root) if "://" in root else LocalFiles(Path(root))


class LocalFiles:
    """In a local folder, for its owner alone; a power cut leaves each whole or absent."""

    def __init__(self, root: Path) -> None:
        self._folder = root.absolute() / "registry"
        self.place = str(self._folder)

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted; nothing when there is no such folder."""
        try:
            return sorted(os.listdir(self._folder / folder))  # noqa: PTH208 (names, not paths)
        except FileNotFoundError:
            return []

    def read(self, key: str) -> bytes | None:
        """A file's bytes; None when there is none."""
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Make or replace a file."""
        target = self._folder / key
        private_folder(self._folder)
        for parent in reversed(target.relative_to(self._folder).parents[:-1]):
            private_folder(self._folder / parent)
        partial = private_folder(self._folder / "partial") / uuid.uuid4().hex
        try:
            write_private(partial, data)
            partial.replace(target)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)

    def delete(self, key: str) -> None:
        """Drop a file, if it is there."""
        (self._folder / key).unlink(missing_ok=True)


class S3Files:
    """Under an S3 prefix, whose listings show every write that was answered."""

    def __init__(self, root: str) -> None:
        from loray.artifacts.filesystem import open_filesystem  # noqa: PLC0415 (pyarrow is slow)

        self._fs: FileSystem
        self._fs, base = open_filesystem(root)
        self._base = f"{base}/registry"
        self._bucket = base.partition("/")[0]
        self.place = f"s3://{self._base}"

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted; nothing when there is no such folder.

        Raises:
            RegistryError: there is no such bucket.
        """
        from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415

        selector = FileSelector(f"{self._base}/{folder}", allow_not_found=True)
        found = sorted(info.base_name for info in self._fs.get_file_info(selector))
        if not found and self._fs.get_file_info(self._bucket).type == FileType.NotFound:
            raise RegistryError(
                f"the bucket {self._bucket} is not there; create it, or name another root"
            )
        return found

    def read(self, key: str) -> bytes | None:
        """A file's bytes; None when there is none."""
        try:
            with self._fs.open_input_stream(f"{self._base}/{key}") as stream:
                data: bytes = stream.read()
        except FileNotFoundError:
            return None
        return data

    def write(self, key: str, data: bytes) -> None:
        """Make or replace a file."""
        with self._fs.open_output_stream(f"{self._base}/{key}") as stream:
            stream.write(data)

    def delete(self, key: str) -> None:
        """Drop a file, if it is there."""
        with suppress(FileNotFoundError):
            self._fs.delete_file(f"{self._base}/{key}")
