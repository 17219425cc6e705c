"""The files that a data spec names, on local disk and S3 alike.

A file goes by `<label>/<name>`: the label says which source of the spec it belongs to (`sources.0`,
`replay`), the name is its path below the part of the URI that holds no wildcard. So a corpus that
moves to another folder or bucket keeps its names, and with them the ids of its rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from loray.artifacts.filesystem import open_filesystem
from loray.data.sources.streams import within
from loray.errors import SourceError
from loray.spec.data import DataSpec
from loray.spec.local_files import WILDCARDS, fixed_folder, glob_pattern, list_local
from loray.spec.sources import SUFFIXES, Source, is_read_of_folder
from loray.spec.steps import DecontaminationStep

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem


@dataclass(frozen=True)
class SourceFile:
    """One file of a corpus."""

    label: str
    """`sources.0`, `sources.1`, ..., or `replay`."""
    name: str
    source: Source
    path: str
    """Within the source's file system."""
    size: int
    """Bytes, as stored."""
    mtime_ns: int

    @property
    def key(self) -> str:
        """What rows call the file they come from."""
        return f"{self.label}/{self.name}"

    @property
    def columns(self) -> list[str]:
        """Columns that the spec names, sorted."""
        return list(self.source.fields.columns)

    @property
    def stall_seconds(self) -> float | None:
        """How long a server may be silent; None on local disk."""
        return self.source.s3.stall_seconds if "://" in self.source.uri else None

    @property
    def suite(self) -> str:
        """`task` or `replay`."""
        return "replay" if self.label == "replay" else "task"

    def unreadable(self, error: Exception) -> SourceError:
        """What to raise of a file that was found and then cannot be read."""
        return SourceError(
            f"{self.key} at {self.path} cannot be read: {error}; check that it is still there and "
            "that every worker can reach it"
        )

    @property
    def stamp(self) -> tuple[int, int] | None:
        """Size and time of the last change as they are now, on local disk; None on S3.

        Raises:
            OSError: it is no longer there.
        """
        if "://" in self.source.uri:
            return None
        info = Path(self.path).stat()
        return info.st_size, info.st_mtime_ns

    def changed(self) -> SourceError:
        """What to raise of a file that is written while it is read."""
        return SourceError(
            f"{self.key} at {self.path} changed while it was read; wait until it is written, or "
            "copy it, and try again"
        )

    def filesystem(self) -> "FileSystem":
        """The file system that `path` is in; cheap, so workers open their own."""
        return filesystem_of(self.source)[0]


def filesystem_of(source: Source) -> "tuple[FileSystem, str]":
    """A source's file system and its path or glob within it."""
    return open_filesystem(
        source.uri,
        endpoint=source.s3.endpoint,
        region=source.s3.region,
        request_seconds=source.s3.stall_seconds / 2,
    )


def find_files(data: DataSpec) -> list[SourceFile]:
    """Every file that the spec names, in the spec's order, then by name.

    Raises:
        SourceError: a path does not exist or cannot be reached or read, or a glob matches nothing.
    """
    return [file for label, source in _labelled(data) for file in _files_of(label, source)]


def find_eval_files(data: DataSpec) -> dict[int, list[SourceFile]]:
    """The files of evaluation items that each decontamination step names, by the step's place.

    Raises:
        SourceError: as `find_files`.
    """
    return {
        number: [file for label, source in labelled for file in _files_of(label, source)]
        for number, labelled in _labelled_items(data).items()
    }


def find_local_files(data: DataSpec) -> list[SourceFile]:
    """Every file on local disk that the spec names, evaluation items too; S3 is not asked.

    Raises:
        SourceError: as `find_files`.
    """
    items = chain.from_iterable(_labelled_items(data).values())
    return [
        file
        for label, source in [*_labelled(data), *items]
        if "://" not in source.uri
        for file in _files_of(label, source)
    ]


def left_out(data: DataSpec) -> list[str]:
    """What lies where the sources are on local disk and is not read, and why; a sentence each."""
    return [
        f"{label}: {sentence}"
        for label, source in _labelled(data)
        if "://" not in source.uri
        for sentence in list_local(source).left_out
    ]


def _labelled(data: DataSpec) -> list[tuple[str, Source]]:
    labelled: list[tuple[str, Source]] = [
        (f"sources.{number}", source) for number, source in enumerate(data.sources)
    ]
    return [*labelled, ("replay", data.replay.source)] if data.replay is not None else labelled


def _labelled_items(data: DataSpec) -> dict[int, list[tuple[str, Source]]]:
    """Sources of evaluation items, by the place of the step that names them."""
    return {
        number: [(f"steps.{number}.against.{at}", s) for at, s in enumerate(step.against)]
        for number, step in enumerate(data.steps)
        if isinstance(step, DecontaminationStep)
    }


def _files_of(label: str, source: Source) -> Iterator[SourceFile]:
    if "://" not in source.uri:
        listing = list_local(source)
        if listing.fault is not None:
            raise SourceError(f"data.{label}: {listing.fault}")
        for name, path, size, mtime_ns in listing.files:
            yield SourceFile(label, name, source, path, size, mtime_ns)
        return
    try:  # even opening a file system waits while a call to another one is stuck
        base, found = within(
            source.s3.stall_seconds, lambda: _matching(*filesystem_of(source), source.kind)
        )
    except OSError as error:
        raise SourceError(
            f"data.{label}: {source.uri} cannot be reached: {error}; check the path, the endpoint "
            "and the credentials in the environment"
        ) from error
    if not found:
        raise SourceError(
            f"data.{label}: {source.uri} names no file; give the path of a file, a folder that "
            f"holds {', '.join(SUFFIXES[source.kind])} files, or a glob such as folder/*.jsonl"
        )
    for info in sorted(found, key=lambda info: info.path):
        name = info.path[len(base) :].lstrip("/")
        yield SourceFile(label, name, source, info.path, info.size, info.mtime_ns or 0)


def _matching(filesystem: "FileSystem", pattern: str, kind: str) -> "tuple[str, list[FileInfo]]":
    """The folder that names start from, and the objects of a path, a folder or a glob."""
    from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415 (the plan of a run loads us)

    itself = filesystem.get_file_info(pattern)
    base = fixed_folder(pattern)
    if itself.type == FileType.File:
        return base, [itself]
    if itself.type == FileType.Directory:
        below = filesystem.get_file_info(FileSelector(pattern, recursive=True))
        return pattern.rstrip("/"), [
            info
            for info in below
            if info.type == FileType.File
            and is_read_of_folder(info.path[len(pattern) :].lstrip("/"), kind)
        ]
    if not WILDCARDS & set(pattern):
        return base, []
    is_deep = "/" in pattern[len(base) :].lstrip("/")
    selector = FileSelector(base, allow_not_found=True, recursive=is_deep)
    matches = glob_pattern(pattern).fullmatch
    return base, [
        info
        for info in filesystem.get_file_info(selector)
        if info.type == FileType.File and matches(info.path)
    ]
