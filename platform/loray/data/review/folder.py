"""The files of a dataset, read a batch at a time; nothing here needs Ray."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from loray.artifacts.manifest import MANIFEST_NAME, Manifest
from loray.errors import ArtifactError

BATCH_ROWS = 4096


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a dataset's folder.

    Raises:
        ArtifactError: there is none, or it is another stage's.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{folder} holds no {MANIFEST_NAME}; wanted the folder of a dataset that was "
            "committed; run `loray apply` to make it"
        ) from error
    if manifest.stage.kind != "dataset":
        raise ArtifactError(f"{folder} is a {manifest.stage.kind}; wanted a dataset's folder")
    return manifest


def batches_of(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of all Parquet files in `folder`, in their order.

    Raises:
        ArtifactError: a file is not there or not whole.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise ArtifactError(f"{folder} holds no Parquet file; wanted a dataset's folder")
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                    yield pa.Table.from_batches([batch])
        except pa.ArrowException as error:
            raise ArtifactError(
                f"{path} cannot be read: {error}; it is being written, or damaged: wait for its "
                "maker, or run `loray apply` to make it again"
            ) from error


def rows_by_id(folder: Path, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The rows with these ids, of those that `folder` (`rows` or `quarantine`) holds."""
    if not ids:
        return {}
    paths = sorted(folder.glob("*.parquet"))
    tables = [pq.read_table(path, filters=[("id", "in", sorted(ids))]) for path in paths]
    return {row["id"]: row for table in tables for row in table.to_pylist()}


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file to write, which is there once it is complete, and not at all when that fails.

    Raises:
        ArtifactError: there is no folder to write it into.
    """
    if not path.parent.is_dir():
        raise ArtifactError(f"found no folder {path.parent}; wanted one to write into; make it")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            yield stream
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
