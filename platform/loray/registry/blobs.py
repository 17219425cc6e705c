"""Content-addressed files under `<storage root>/registry/sha256/<hex>`, on local disk or S3.

A blob's name is the SHA-256 of its bytes, so a blob is whole or it is damaged, and every reader
can tell. Nothing here says what exists: only a row in the database does.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from loray.artifacts.digests import file_digest
from loray.errors import AdapterError
from loray.registry.private import private_folder, sync_folder
from loray.registry.storage_failures import explaining_storage_failures

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BlobEntry:
    """A blob in a listing."""

    digest: str
    num_bytes: int
    age_seconds: float


class Blobs(Protocol):
    """Where blobs lie."""

    scratch: Path
    """A local folder for partial work and fetched copies."""

    def put(self, source: Path, digest: str) -> None:
        """Make the bytes of `source`, whose digest is known, a blob; `source` may be moved."""

    def open(self, digest: str) -> BinaryIO:
        """A reader of a blob; FileNotFoundError when there is none."""

    def has(self, digest: str, num_bytes: int) -> bool:
        """Whether there is a blob of that name and size; its bytes are not read."""

    def entries(self) -> Iterator[BlobEntry]:
        """All blobs; files of other names are left out, since they are not ours."""

    def delete(self, digest: str) -> None:
        """Drop a blob, if it is there."""


def open_blobs(root: str) -> Blobs:
    """The blobs under a storage root: a local folder or `s3://bucket/prefix`."""
    return S3Blobs(root) if "://" in root else LocalBlobs(Path(root))


class LocalBlobs:
    """Blobs in a local folder, for its owner alone; a power cut leaves each whole or absent."""

    def __init__(self, root: Path) -> None:
        self.scratch = root.absolute() / "registry"
        self._folder = self.scratch / "sha256"

    def put(self, source: Path, digest: str) -> None:
        """Rename `source`, which must be in `scratch`, to its digest."""
        target = self._folder / digest
        if target.exists() and file_digest(target) == digest:
            os.utime(target)  # young again: the sweep spares it until its version is committed
            return
        source.chmod(0o400)
        sync_folder(source)
        private_folder(self.scratch)
        private_folder(self._folder)
        source.replace(target)
        sync_folder(self._folder)

    def open(self, digest: str) -> BinaryIO:
        """A reader of a blob; FileNotFoundError when there is none."""
        return (self._folder / digest).open("rb")

    def has(self, digest: str, num_bytes: int) -> bool:
        """Whether there is a blob of that name and size."""
        try:
            return (self._folder / digest).stat().st_size == num_bytes
        except FileNotFoundError:
            return False

    def entries(self) -> Iterator[BlobEntry]:
        """All blobs."""
        try:
            found = list(os.scandir(self._folder))
        except FileNotFoundError:  # nothing was ever put
            return
        for entry in found:
            if not _DIGEST.fullmatch(entry.name):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:  # another sweep was faster
                continue
            yield BlobEntry(entry.name, status.st_size, time.time() - status.st_mtime)

    def delete(self, digest: str) -> None:
        """Drop a blob, if it is there."""
        (self._folder / digest).unlink(missing_ok=True)


class S3Blobs:
    """Blobs under an S3 prefix.

    A killed upload leaves nothing. One that is interrupted from within is completed short by
    Arrow, so a blob counts only with its size, and one that is sound is never written over.
    """

    def __init__(self, root: str) -> None:
        from loray.artifacts.filesystem import open_filesystem  # noqa: PLC0415 (pyarrow is slow)

        self._fs: FileSystem
        self._fs, base = open_filesystem(root)
        self._base = f"{base}/registry/sha256"
        place = hashlib.sha256(root.encode()).hexdigest()[:12]
        self.scratch = Path.home() / ".cache" / "loray" / "registry" / place

    def put(self, source: Path, digest: str) -> None:
        """Upload `source` under its digest, unless a blob of these bytes is there."""
        if self.has(digest, source.stat().st_size) and self._is_sound(digest):
            return
        with source.open("rb") as reader, self._fs.open_output_stream(self._key(digest)) as writer:
            shutil.copyfileobj(reader, writer, 8 * _CHUNK_BYTES)

    def open(self, digest: str) -> BinaryIO:
        """A reader of a blob; FileNotFoundError when there is none."""
        stream: BinaryIO = self._fs.open_input_stream(self._key(digest))
        return stream

    def has(self, digest: str, num_bytes: int) -> bool:
        """Whether there is a blob of that name and size."""
        info = self._fs.get_file_info(self._key(digest))
        return bool(info.is_file and info.size == num_bytes)

    def entries(self) -> Iterator[BlobEntry]:
        """All blobs."""
        from pyarrow.fs import FileSelector  # noqa: PLC0415

        for info in self._fs.get_file_info(FileSelector(self._base, allow_not_found=True)):
            if info.is_file and _DIGEST.fullmatch(info.base_name):
                age = time.time() - info.mtime_ns / 1e9
                yield BlobEntry(info.base_name, info.size, age)

    def delete(self, digest: str) -> None:
        """Drop a blob, if it is there."""
        try:
            self._fs.delete_file(self._key(digest))
        except FileNotFoundError:
            return

    def _is_sound(self, digest: str) -> bool:
        try:
            for _ in verified_chunks(self, digest):
                pass
        except AdapterError:  # damaged, or a sweep took it
            return False
        return True

    def _key(self, digest: str) -> str:
        return f"{self._base}/{digest}"


@contextmanager
def scratch_folder(blobs: Blobs) -> Iterator[Path]:
    """A fresh folder on the file system of local blobs, gone with whatever is left in it.

    Raises:
        RegistryError: the disk or S3 failed, here or within the block.
    """
    with explaining_storage_failures():
        private_folder(blobs.scratch)
        parent = private_folder(blobs.scratch / "partial")
        with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as name:
            yield Path(name)


def put_bytes(blobs: Blobs, data: bytes) -> str:
    """Make `data` a blob; its digest."""
    digest = hashlib.sha256(data).hexdigest()
    with scratch_folder(blobs) as folder:
        source = folder / digest
        source.write_bytes(data)
        blobs.put(source, digest)
    return digest


def read_bytes(blobs: Blobs, digest: str) -> bytes:
    """A small blob's bytes, verified.

    Raises:
        AdapterError: it is missing or damaged.
    """
    return b"".join(verified_chunks(blobs, digest))


def copy_blob(blobs: Blobs, digest: str, target: Path) -> None:
    """Write a blob's bytes, verified on the way, to `target`.

    Raises:
        AdapterError: it is missing or damaged; `target` is then not to be used.
    """
    with target.open("xb") as writer:
        for chunk in verified_chunks(blobs, digest):
            writer.write(chunk)


def verified_chunks(blobs: Blobs, digest: str) -> Iterator[bytes]:
    """A blob's bytes; only their end tells whether they were right.

    Raises:
        AdapterError: it is missing; or, after its last byte, it is damaged.
    """
    found = hashlib.sha256()
    try:
        with blobs.open(digest) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                found.update(chunk)
                yield chunk
    except FileNotFoundError:
        raise _missing(digest) from None
    if found.hexdigest() != digest:
        raise AdapterError(
            f"the registry's blob {digest} is damaged, its bytes have SHA-256 "
            f"{found.hexdigest()}; restore it from a backup, or withdraw the versions that "
            "`loray registry fsck` names"
        )


def _missing(digest: str) -> AdapterError:
    return AdapterError(
        f"the registry's blob {digest} is missing; restore it from a backup, "
        "or withdraw the versions that `loray registry fsck` names"
    )
