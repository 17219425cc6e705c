"""Storage of artifacts, on local disk and S3 alike.

`ROOT/<kind>s/<name>-<fingerprint>/` holds an artifact's files and, written last, `manifest.json`.
`ROOT/.work/` holds what is being made; nothing there is read by anyone but its maker.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from loray.artifacts.digests import file_digest, remembered_digest
from loray.artifacts.manifest import MANIFEST_NAME, FileEntry, Manifest, Stage, StageKind
from loray.errors import ArtifactError

logger = logging.getLogger(__name__)


class Store:
    """Artifacts under one root, a local folder or `s3://bucket/prefix`."""

    def __init__(self, root: str) -> None:
        from loray.artifacts.filesystem import open_filesystem  # noqa: PLC0415 (pyarrow is slow)

        self.root = root
        self._fs, self._base = open_filesystem(root)
        self.is_local = "://" not in root
        scratch = Path(root) if self.is_local else Path.home() / ".cache" / "loray"
        self.scratch = scratch.absolute()

    def work_folder(self, stage: Stage) -> Path:
        """A local folder, made if missing, for what `stage` has not committed yet."""
        return private_folder(self.scratch / ".work" / stage.folder)

    def read_manifest(self, stage: Stage) -> Manifest | None:
        """The manifest of a committed artifact; None when there is none.

        Raises:
            ArtifactError: it is cut off or otherwise damaged.
        """
        try:
            with self._fs.open_input_file(self._key(stage, MANIFEST_NAME)) as stream:
                text = stream.read()
        except FileNotFoundError:
            return None
        try:
            return Manifest.model_validate_json(text)
        except ValidationError as error:
            found = f"{len(text)} bytes, {error.error_count()} errors"
            raise self._damaged(stage, f"{MANIFEST_NAME} is no manifest ({found})") from error

    def committed(self, kind: StageKind, name: str) -> list[Manifest]:
        """Manifests of every readable artifact of that kind and name, oldest first."""
        from pyarrow.fs import FileSelector  # noqa: PLC0415

        selector = FileSelector(f"{self._base}/{kind}s", allow_not_found=True)
        found = []
        for info in self._fs.get_file_info(selector):
            folder, _, mark = info.base_name.rpartition("-")
            if folder != name:
                continue
            try:
                manifest = self.read_manifest(Stage(kind=kind, name=name, fingerprint=mark))
            except ArtifactError as error:
                logger.warning("passed over: %s", error)
                continue
            found += [manifest] if manifest is not None else []
        return sorted(found, key=lambda manifest: manifest.created)

    def stages(self) -> list[Stage]:
        """Every artifact's folder, whether it was committed or a commit was interrupted."""
        from pyarrow.fs import FileSelector  # noqa: PLC0415

        found = []
        for kind in get_args(StageKind):
            selector = FileSelector(f"{self._base}/{kind}s", allow_not_found=True)
            for info in self._fs.get_file_info(selector):
                name, _, mark = info.base_name.rpartition("-")
                if name and mark and not info.is_file:
                    found.append(Stage(kind=kind, name=name, fingerprint=mark))
        return found

    def weigh(self, stage: Stage) -> tuple[int, float]:
        """Bytes in an artifact's folder, and when the newest of its files changed (Unix time)."""
        from pyarrow.fs import FileSelector  # noqa: PLC0415

        key = self._key(stage, "").rstrip("/")
        folder = FileSelector(key, allow_not_found=True, recursive=True)
        files = [info for info in self._fs.get_file_info(folder) if info.is_file]
        newest = max((info.mtime_ns or 0 for info in files), default=0)
        return sum(info.size for info in files), newest / 1e9

    def delete(self, stage: Stage) -> None:
        """Delete an artifact; its manifest first, so that no part of it passes for the whole."""
        with suppress(FileNotFoundError):
            self._fs.delete_file(self._key(stage, MANIFEST_NAME))
        self._clear(stage)

    def commit(
        self, manifest: Manifest, made: Path, *, check: Callable[[], None] = lambda: None
    ) -> None:
        """Move the files under `made` into the artifact, write its manifest, delete `made`.

        Whatever an interrupted commit left in the artifact's folder is cleared first.

        Args:
            check: raises where the artifact is no longer this process's to write.
        """
        check()
        stage = manifest.stage
        self._clear(stage)
        for entry in manifest.files:
            self._put(made / entry.path, self._key(stage, entry.path))
        check()
        text = manifest.model_dump_json(indent=1).encode()
        self._write_last(self._key(stage, MANIFEST_NAME), text)
        shutil.rmtree(made)

    def location(self, stage: Stage) -> str:
        """Where an artifact is: a local folder, or its URI."""
        if self.is_local:
            return str(Path(self._base, stage.folder))
        return f"{self.root.rstrip('/')}/{stage.folder}"

    def fetch(self, stage: Stage, *, without: str | None = None) -> Path:
        """A local folder with the artifact's files, verified; downloaded when not local.

        Args:
            without: start of the paths that are neither downloaded nor looked at.

        Raises:
            ArtifactError: the artifact was never committed, or a file is not what it was.
        """
        manifest = self._committed_manifest(stage)
        wanted = [e for e in manifest.files if without is None or not e.path.startswith(without)]
        if self.is_local:
            self._verify(stage, wanted)
            return Path(self._base, stage.folder)
        folder = self.scratch / "fetched" / stage.folder
        for entry in wanted:
            self._download(stage, entry, folder / entry.path)
        return folder

    def verify(self, stage: Stage) -> None:
        """Compare all of an artifact's files with its manifest: local ones by digest.

        Files in a bucket are compared by size; what is read of them is checked on the way.

        Raises:
            ArtifactError: the artifact was never committed, or a file is not what it was.
        """
        manifest = self._committed_manifest(stage)
        self.check_sizes(manifest)
        if self.is_local:
            self._verify(stage, manifest.files)

    def check_sizes(self, manifest: Manifest) -> None:
        """Look whether an artifact's files are there, at their sizes; reads none of them.

        Raises:
            ArtifactError: one is not.
        """
        stage = manifest.stage
        keys = [self._key(stage, entry.path) for entry in manifest.files]
        for entry, info in zip(manifest.files, self._fs.get_file_info(keys), strict=True):
            if not info.is_file:
                raise self._damaged(stage, f"{entry.path} is missing")
            if info.size != entry.size:
                what = f"{entry.path} has {info.size} bytes, its manifest says {entry.size}"
                raise self._damaged(stage, what)

    def _committed_manifest(self, stage: Stage) -> Manifest:
        manifest = self.read_manifest(stage)
        if manifest is None:
            raise ArtifactError(
                f"{self.root}/{stage.folder} is not there or was never committed; "
                "run `loray apply` to make it"
            )
        return manifest

    def _verify(self, stage: Stage, entries: Iterable[FileEntry]) -> None:
        for entry in entries:
            try:
                found = remembered_digest(Path(self._key(stage, entry.path)))
            except FileNotFoundError:
                raise self._damaged(stage, f"{entry.path} is missing") from None
            if found != entry.sha256:
                raise self._damaged(
                    stage, f"{entry.path} has SHA-256 {found}, its manifest says {entry.sha256}"
                )

    def _damaged(self, stage: Stage, what: str) -> ArtifactError:
        return ArtifactError(
            f"{self.location(stage)} is damaged: {what}; restore it from a backup, or delete the "
            "folder and run `loray apply` to make it again"
        )

    def _key(self, stage: Stage, path: str) -> str:
        return f"{self._base}/{stage.folder}/{path}"

    def _clear(self, stage: Stage) -> None:
        from pyarrow.fs import FileType  # noqa: PLC0415

        folder = f"{self._base}/{stage.folder}"
        if self._fs.get_file_info(folder).type == FileType.Directory:
            self._fs.delete_dir(folder)

    def _put(self, source: Path, key: str) -> None:
        if self.is_local:
            target = Path(key)
            private_folder(target.parent)
            with suppress(PermissionError):  # a worker under another user wrote it
                source.chmod(0o600)
            source.replace(target)
            return
        with source.open("rb") as reader, self._fs.open_output_stream(key) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)

    def _write_last(self, key: str, data: bytes) -> None:
        """Make `data` visible under `key` all at once; S3 does so by itself."""
        if self.is_local:
            target = Path(key)
            private_folder(target.parent)
            partial = target.with_suffix(f".{os.getpid()}.partial")
            with open(partial, "wb", opener=_private) as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
            return
        with self._fs.open_output_stream(key) as stream:
            stream.write(data)

    def _download(self, stage: Stage, entry: FileEntry, target: Path) -> None:
        """Bring a file here, unless a copy with its digest is."""
        if target.is_file() and remembered_digest(target) == entry.sha256:
            return
        private_folder(target.parent)
        partial = target.with_suffix(f"{target.suffix}.{os.getpid()}.partial")
        key = self._key(stage, entry.path)
        try:
            with (
                self._fs.open_input_stream(key, compression=None) as reader,
                open(partial, "wb", opener=_private) as writer,
            ):
                shutil.copyfileobj(reader, writer, 1 << 20)
        except FileNotFoundError:
            raise self._damaged(stage, f"{entry.path} is missing") from None
        found = file_digest(partial)
        if found != entry.sha256:
            partial.unlink()
            raise self._damaged(
                stage, f"{entry.path} has SHA-256 {found}, its manifest says {entry.sha256}"
            )
        partial.replace(target)


def private_folder(folder: Path) -> Path:
    """Make `folder`, and the parents it lacks, for their owner alone: they hold people's rows."""
    for missing in [p for p in (*reversed(folder.parents), folder) if not p.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
    return folder


def _private(path: str, flags: int) -> int:
    """Opens a file that only its owner may read."""
    return os.open(path, flags, 0o600)
