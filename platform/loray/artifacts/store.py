"""Storage of artifacts, on local disk and S3 alike.

`ROOT/<kind>s/<name>-<fingerprint>/` holds an artifact's files and, written last, `manifest.json`.
`ROOT/.work/` holds what is being made; nothing there is read by anyone but its maker.
"""

import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loray.artifacts.manifest import MANIFEST_NAME, FileEntry, Manifest, Stage, StageKind
from loray.errors import ArtifactError

RECORDED_LIBRARIES = (
    "loray", "ray", "torch", "transformers", "peft", "bitsandbytes", "deepspeed", "pyarrow",
    "tokenizers", "evaluate", "pydantic",
)  # fmt: skip

FOR_ANOTHER_TRY = ("attempts", "ray")
"""Folders of a work folder from which an interrupted stage goes on; never part of an artifact."""


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
        folder = self.scratch / ".work" / stage.folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def read_manifest(self, stage: Stage) -> Manifest | None:
        """The manifest of a committed artifact; None when there is none.

        Raises:
            ArtifactError: it is there and cannot be read, as when it was cut off.
        """
        key = self._key(stage, MANIFEST_NAME)
        try:
            with self._fs.open_input_file(key) as stream:
                text = stream.read()
        except FileNotFoundError:
            return None
        try:
            return Manifest.model_validate_json(text)
        except ValueError as error:
            raise ArtifactError(
                f"{key} is damaged: found {len(text)} bytes that are no manifest of an artifact; "
                f"delete the folder {key.rpartition('/')[0]} and run `loray apply` to make it again"
            ) from error

    def committed(self, kind: StageKind, name: str) -> list[Manifest]:
        """Manifests of every committed artifact of that kind and name, oldest first."""
        from pyarrow.fs import FileSelector  # noqa: PLC0415

        selector = FileSelector(f"{self._base}/{kind}s", allow_not_found=True)
        found = []
        for info in self._fs.get_file_info(selector):
            folder, _, mark = info.base_name.rpartition("-")
            if folder != name:
                continue
            manifest = self.read_manifest(Stage(kind=kind, name=name, fingerprint=mark))
            found += [manifest] if manifest is not None else []
        return sorted(found, key=lambda manifest: manifest.created)

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
        """A local folder with the artifact's files; downloaded and verified when not local.

        Args:
            without: start of the paths that need not be downloaded.

        Raises:
            ArtifactError: the artifact was never committed, or a file is not what it was.
        """
        manifest = self.read_manifest(stage)
        if manifest is None:
            raise ArtifactError(
                f"{self.root}/{stage.folder} is not there or was never committed; "
                "run `loray apply` to make it"
            )
        if self.is_local:
            return Path(self._base, stage.folder)
        folder = self.scratch / "fetched" / stage.folder
        for entry in manifest.files:
            if without is not None and entry.path.startswith(without):
                continue
            self._download(entry, self._key(stage, entry.path), folder / entry.path)
        return folder

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
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            return
        with source.open("rb") as reader, self._fs.open_output_stream(key) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)

    def _write_last(self, key: str, data: bytes) -> None:
        """Make `data` visible under `key` all at once; S3 does so by itself."""
        if self.is_local:
            target = Path(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
            return
        with self._fs.open_output_stream(key) as stream:
            stream.write(data)

    def _download(self, entry: FileEntry, key: str, target: Path) -> None:
        if target.exists() and target.stat().st_size == entry.size:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f"{target.suffix}.{os.getpid()}.partial")
        with self._fs.open_input_stream(key) as reader, partial.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        found = file_digest(partial)
        if found != entry.sha256:
            raise ArtifactError(
                f"{key} has SHA-256 {found}, its manifest says {entry.sha256}; "
                "delete the artifact's folder and run `loray apply` to make it again"
            )
        partial.replace(target)


def describe(
    made: Path,
    stage: Stage,
    *,
    stage_version: int,
    recipe: dict[str, Any],
    inputs: dict[str, str],
    statistics: dict[str, Any],
) -> Manifest:
    """The manifest of an artifact whose files lie under `made`, as of now."""
    files = (e for e in file_entries(made) if e.path.partition("/")[0] not in FOR_ANOTHER_TRY)
    return Manifest(
        stage=stage,
        stage_version=stage_version,
        recipe=recipe,
        inputs=inputs,
        files=tuple(files),
        statistics=statistics,
        environment=environment(),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_entries(folder: Path) -> Iterator[FileEntry]:
    """An entry for each file under `folder`, sorted by path."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        yield FileEntry(path=name, size=path.stat().st_size, sha256=file_digest(path))


def environment() -> dict[str, str]:
    """Versions of Python and of the libraries that a result may depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for library in RECORDED_LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
