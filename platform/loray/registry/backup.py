"""Backups of a registry: its tables as JSON lines, the blobs they need, and what both add up to.

    FOLDER/backup.json    written last: what the backup is of, and the digest of everything in it
    FOLDER/tables.jsonl   every row, from one snapshot of the database
    FOLDER/sha256/<hex>   the blobs that these rows need, each verified

The snapshot is taken first: versions are never deleted, so the blobs it needs are there afterwards.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field, ValidationError

import loray
from loray.artifacts.digests import file_digest
from loray.errors import AdapterError, RegistryError
from loray.registry.blobs import (
    Blobs,
    copy_blob,
    open_blobs,
    read_bytes,
    scratch_folder,
)
from loray.registry.database import Database
from loray.registry.event_files import all_recorded
from loray.registry.events import timestamp
from loray.registry.identity import as_manifest, new_identity, read_identity, read_root_identity
from loray.registry.private import FILE_MODE, make_private, private_folder, write_private
from loray.registry.root_files import open_root_files
from loray.registry.storage_failures import explaining_storage_failures
from loray.registry.tables import Row, check_empty, check_rows, dump_tables, load_tables
from loray.registry.tied import TiedDatabase
from loray.registry.unfinished import unfinished_folder
from loray.spec.base import StrictModel

_ABOUT = "backup.json"
_TABLES = "tables.jsonl"
_BLOBS = "sha256"
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Backup(StrictModel):
    """What a backup holds."""

    format: Literal[1] = 1
    identity: str
    """The registry's; one that is restored beside its own root has it, too."""
    made: str
    """ISO 8601, UTC."""
    code_version: str
    database: str
    root: str
    rows: dict[str, int]
    """How many, by table."""
    tables_sha256: _Digest
    blobs: dict[_Digest, int]
    """Size of every blob that the rows need, by digest."""
    has_blobs: bool
    """Whether the blobs are in the backup, too."""

    @property
    def num_bytes(self) -> int:
        """Size of the blobs."""
        return sum(self.blobs.values())


def back_up(url: str, root: str, folder: Path, *, with_blobs: bool = True) -> Backup:
    """Write a backup into a new folder; others may keep writing to the registry.

    Args:
        with_blobs: copy the blobs, too; without them keep the storage root by other means.

    Raises:
        RegistryError: the folder is there already, the registry has nothing to keep, or the disk
            failed; no folder is left then.
        AdapterError: a blob is missing or damaged; no folder is left then.
    """
    if folder.exists():
        raise RegistryError(f"{folder} is there already; name a new folder for each backup")
    with explaining_storage_failures():
        blobs, files = open_blobs(root), open_root_files(root)
        tied = TiedDatabase(Database(url), files, blobs)
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        parent = folder.absolute().parent
        with unfinished_folder(parent, "backup") as scratch:
            fresh = private_folder(scratch / "fresh")
            identity, rows = tied.read(partial(_write_tables, path=fresh / _TABLES))
            if identity is None:
                raise RegistryError(
                    f"the registry {tied.url} was never written to, or is of an older loray; "
                    "`loray registry fsck --repair` gives it an identity"
                )
            needed = _blobs_needed(fresh / _TABLES, blobs)
            if with_blobs:
                for digest in needed:
                    copy_blob(blobs, digest, private_folder(fresh / _BLOBS) / digest)
            about = Backup(
                identity=identity,
                made=timestamp(),
                code_version=loray.__version__,
                database=tied.url,
                root=root,
                rows=rows,
                tables_sha256=file_digest(fresh / _TABLES),
                blobs=needed,
                has_blobs=with_blobs,
            )
            if with_blobs and needed:
                make_private(fresh / _BLOBS)
            write_private(fresh / _ABOUT, about.model_dump_json(indent=1).encode())
            fresh.rename(folder)
    return about


def check_backup(folder: Path) -> Backup:
    """What a backup holds, every byte verified.

    Raises:
        RegistryError: it is not a backup, was not finished, or is damaged.
    """
    with explaining_storage_failures():
        try:
            about = Backup.model_validate_json((folder / _ABOUT).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise RegistryError(
                f"{folder} is not a backup: it has no {_ABOUT}; name a folder that `loray registry "
                "backup` wrote"
            ) from None
        except ValidationError as error:
            raise RegistryError(
                f"{folder / _ABOUT} is damaged or of another format ({error.error_count()} "
                "faults); use another backup, or the loray that wrote it"
            ) from None
        wanted = {_TABLES: about.tables_sha256}
        if about.has_blobs:
            wanted |= {f"{_BLOBS}/{digest}": digest for digest in about.blobs}
        for name, digest in wanted.items():
            path = folder / name
            if not path.is_file() or file_digest(path) != digest:
                what = "damaged" if path.is_file() else "missing"
                raise RegistryError(f"{path} is {what}; use another backup")
    return about


def check_restorable(about: Backup, folder: Path, url: str, root: str) -> None:
    """Whether a backup can be put into a database and a storage root.

    Raises:
        RegistryError: the database is in use, or the root is another registry's, knows of later
            events, or lacks blobs that the backup has not either.
    """
    blobs, files = open_blobs(root), open_root_files(root)
    with explaining_storage_failures():
        Database(url).read(partial(check_empty, identity=about.identity))
        found = read_root_identity(files)
        if found not in (None, about.identity):
            raise RegistryError(
                f"the storage root {files.place} is that of registry {found[:8]}, the backup is "
                f"of {about.identity[:8]}; name the root of the backup, or a new one"
            )
        events = _read_tables(folder / _TABLES)["event"]
        known = {f"{row['id']:012d}-{row['operation']}.json" for row in events}
        if later := all_recorded(files).all_names - known:
            raise RegistryError(
                f"the storage root {files.place} has {len(later)} events that the backup does not "
                "know; make the database from the root (`loray registry rebuild`), or restore "
                "into a new root with --root"
            )
        if not about.has_blobs:
            _check_blobs(about, blobs)


def restore(folder: Path, url: str, root: str) -> Backup:
    """Put a backup into an empty database and a storage root that is empty or the backup's own.

    Blobs that are there already stay. The database is filled in one transaction, after the blobs.
    In a new root the registry gets a new identity: it is not the one that the backup is of, and
    may go another way.

    Raises:
        RegistryError: the backup is damaged, or as in `check_restorable`.
    """
    about = check_backup(folder)
    check_restorable(about, folder, url, root)
    database, blobs, files = Database(url), open_blobs(root), open_root_files(root)
    with explaining_storage_failures():
        identity = read_root_identity(files) or new_identity()
        rows = _read_tables(folder / _TABLES)
        _put_blobs(about, folder, blobs)
        database.write(partial(load_tables, identity=identity, rows=rows))
        TiedDatabase(database, files, blobs).tie()
    return about


def _write_tables(connection: sa.Connection, path: Path) -> tuple[str | None, dict[str, int]]:
    rows: dict[str, int] = {}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        for table, row in dump_tables(connection):
            rows[table] = rows.get(table, 0) + 1
            stream.write(json.dumps({"table": table, "row": row}, sort_keys=True) + "\n")
        stream.flush()
        os.fsync(descriptor)
    return read_identity(connection), rows


def _lines(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            found: dict[str, Any] = json.loads(line)
            yield found["table"], found["row"]


def _read_tables(path: Path) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {"event": []}
    for table, row in _lines(path):
        rows.setdefault(table, []).append(row)
    check_rows(rows)
    return rows


def _blobs_needed(tables: Path, blobs: Blobs) -> dict[str, int]:
    """The blobs of all versions, manifests too; the size of each."""
    needed: dict[str, int] = {}
    for table, row in _lines(tables):
        if table == "version" and row["digest"] not in needed:
            data = read_bytes(blobs, row["digest"])
            manifest = as_manifest(data)
            needed[row["digest"]] = len(data)
            needed |= {entry.sha256: entry.size for entry in manifest.files}
    return dict(sorted(needed.items()))


def _check_blobs(about: Backup, blobs: Blobs) -> None:
    missing = [digest for digest, size in about.blobs.items() if not blobs.has(digest, size)]
    if missing:
        raise RegistryError(
            f"the backup has no blobs, and the storage root lacks {len(missing)} of "
            f"{len(about.blobs)}, such as {missing[0]}; restore the root first"
        )


def _put_blobs(about: Backup, folder: Path, blobs: Blobs) -> None:
    if not about.has_blobs:
        return
    for digest in about.blobs:
        with scratch_folder(blobs) as scratch, (folder / _BLOBS / digest).open("rb") as source:
            copy, found = scratch / digest, hashlib.sha256()
            with copy.open("wb") as target:
                while chunk := source.read(1 << 20):
                    found.update(chunk)
                    target.write(chunk)
            if found.hexdigest() != digest:
                raise AdapterError(f"{folder / _BLOBS / digest} changed; use another backup")
            blobs.put(copy, digest)
