"""What a manifest says of files that a stage has made."""

import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loray.artifacts.digests import file_digest
from loray.artifacts.manifest import FileEntry, Manifest, Stage

RECORDED_LIBRARIES = (
    "loray", "ray", "torch", "transformers", "peft", "bitsandbytes", "deepspeed", "pyarrow",
    "tokenizers", "evaluate", "pydantic",
)  # fmt: skip

FOR_ANOTHER_TRY = ("attempts", "ray")
"""Folders of a work folder from which an interrupted stage goes on; never part of an artifact."""


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
