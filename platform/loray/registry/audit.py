"""`fsck` and `gc`: is everything there that versions need, and what does no version need?"""

import shutil
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from loray.errors import AdapterError
from loray.registry.blobs import Blobs, verified_chunks
from loray.registry.database import Database
from loray.registry.events import alias_history
from loray.registry.exchange import read_manifest
from loray.registry.records import Alias, Fault, Sweep, Version
from loray.registry.schema import adapter, alias, meta, version
from loray.registry.versions import read_versions

_DELETIONS_A_LOCK = 500
_PARTIAL_GRACE_SECONDS = 3600.0
"""Work under way is never older: nothing tells it from what a killed process left."""


def find_faults(database: Database, blobs: Blobs) -> tuple[Fault, ...]:
    """Everything that is wrong; reads every byte of every version, in use or not."""
    faults = list(database.read(lambda connection: tuple(_database_faults(connection))))
    sound: set[str] = set()
    for row in database.read(lambda connection: read_versions(connection, None)):
        faults.extend(Fault(subject=row.ref, what=what) for what in _faults_of(blobs, row, sound))
    return tuple(faults)


def _faults_of(blobs: Blobs, row: Version, sound: set[str]) -> Iterator[str]:
    """What is wrong with a version's blobs; `sound` remembers those that were read already."""
    try:
        manifest = read_manifest(blobs, row.digest)
    except AdapterError as error:
        yield str(error)
        return
    kept = (manifest.name, manifest.adapter_digest, manifest.lineage, manifest.scores)
    if kept != (row.name, row.adapter_digest, row.lineage, row.scores):
        yield "the database's row and the manifest differ"
    for entry in manifest.files:
        if entry.sha256 in sound:
            continue
        try:
            deque(verified_chunks(blobs, entry.sha256), maxlen=0)
        except AdapterError as error:
            yield f"{entry.path}: {error}"
        else:
            sound.add(entry.sha256)


def _database_faults(connection: sa.Connection) -> Iterator[Fault]:
    if connection.dialect.name == "sqlite":
        for pragma in ("integrity_check", "foreign_key_check"):
            for found in connection.exec_driver_sql(f"PRAGMA {pragma}"):
                if found[0] != "ok":
                    yield Fault(subject="database", what=f"{pragma}: {tuple(found)}")
    for name, last in connection.execute(sa.select(adapter)):
        statement = sa.select(version.c.number).where(version.c.name == name)
        numbers = sorted(connection.scalars(statement))
        if numbers != list(range(1, last + 1)):
            yield Fault(subject=name, what=f"versions {numbers} are not 1 to {last} without gaps")
    for row in connection.execute(sa.select(alias)).mappings():
        yield from _alias_faults(connection, Alias(**row))


def _alias_faults(connection: sa.Connection, row: Alias) -> Iterator[Fault]:
    history = alias_history(connection, row.name, row.alias)
    subject = f"{row.name}@{row.alias}"
    if [event.generation for event in history] != list(range(1, row.generation + 1)):
        yield Fault(subject=subject, what=f"{row.generation} moves, {len(history)} events")
    elif history and history[-1].to_version != row.version:
        what = f"names {row.version}, the last event says {history[-1].to_version}"
        yield Fault(subject=subject, what=what)


def sweep(database: Database, blobs: Blobs, *, dry_run: bool, grace_seconds: float) -> Sweep:
    """Delete blobs that no version refers to, and what interrupted work left behind.

    Younger ones than `grace_seconds` are spared, and partial work for at least an hour. The sweep
    shuts publishers out while it deletes, and a publisher looks for its blobs again inside its own
    transaction: a version can never lose one, however short the grace.

    Raises:
        AdapterError: a manifest is damaged, so nobody knows what may go; nothing was deleted.
    """
    wanted: dict[str, set[str]] = {}
    database.read(lambda connection: _mark(connection, blobs, wanted))
    spared = set().union(*wanted.values())
    old = {
        entry.digest: entry.num_bytes
        for entry in blobs.entries()
        if entry.age_seconds >= grace_seconds and entry.digest not in spared
    }
    pending = iter(sorted(old))
    gone: list[str] = sorted(old) if dry_run else []
    while not dry_run and (batch := list(islice(pending, _DELETIONS_A_LOCK))):
        gone += database.write(partial(_delete, blobs=blobs, batch=batch, wanted=wanted))
    left = _sweep_partial(blobs, dry_run=dry_run, grace_seconds=grace_seconds)
    num_bytes = sum(old[digest] for digest in gone)
    return Sweep(dry_run=dry_run, blobs=tuple(gone), partial=left, num_bytes=num_bytes)


def _mark(connection: sa.Connection, blobs: Blobs, wanted: dict[str, set[str]]) -> None:
    """Add to `wanted`, by manifest, the blobs of versions that are not in it yet."""
    for digest in connection.scalars(sa.select(version.c.digest).distinct()):
        if digest not in wanted:
            files = read_manifest(blobs, digest).files
            wanted[digest] = {digest, *(entry.sha256 for entry in files)}


def _delete(
    connection: sa.Connection, blobs: Blobs, batch: list[str], wanted: dict[str, set[str]]
) -> list[str]:
    connection.execute(sa.select(meta).with_for_update())  # no publisher commits until we are done
    _mark(connection, blobs, wanted)
    spared = set().union(*wanted.values())
    gone = [digest for digest in batch if digest not in spared]
    for digest in gone:
        blobs.delete(digest)
    return gone


def _sweep_partial(blobs: Blobs, *, dry_run: bool, grace_seconds: float) -> tuple[str, ...]:
    parent = blobs.scratch / "partial"
    found = sorted(parent.iterdir()) if parent.is_dir() else []
    old = [path for path in found if _age(path) >= max(grace_seconds, _PARTIAL_GRACE_SECONDS)]
    for path in () if dry_run else old:
        shutil.rmtree(path, ignore_errors=True)
    return tuple(path.name for path in old)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its maker just finished
        return 0.0
