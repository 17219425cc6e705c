"""`fsck` and `gc`: is everything there that versions need, and what does no version need?"""

import shutil
import time
from collections import deque
from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from loray.errors import AdapterError
from loray.registry.blobs import Blobs, verified_chunks
from loray.registry.event_files import all_recorded, all_records, read_records, write_records
from loray.registry.events import alias_history
from loray.registry.exchange import read_manifest
from loray.registry.identity import MAX_MANIFEST_BYTES
from loray.registry.records import Alias, Fault, Sweep, Version
from loray.registry.schema import adapter, alias, meta, version
from loray.registry.tied import TiedDatabase
from loray.registry.versions import read_versions

_DELETIONS_A_LOCK = 500
_MANIFESTS_TO_NAME = 200
_PARTIAL_GRACE_SECONDS = 3600.0
"""Work under way is never older: nothing tells it from what a killed process left."""


def find_faults(tied: TiedDatabase, blobs: Blobs, *, repair: bool = False) -> tuple[Fault, ...]:
    """Everything that is wrong; reads every byte of every version, in use or not.

    Events that a killed process left without a record under the root are recorded on the way.

    Args:
        repair: tie a registry of an older loray to its root, and write damaged records again.

    Raises:
        RegistryMismatchError: the database and the root do not belong together, so nothing is known
            to be wrong with either.
    """
    if repair:
        tied.tie()
    faults = list(tied.read(lambda connection: tuple(_database_faults(connection))))
    sound: set[str] = set()
    for row in tied.read(lambda connection: read_versions(connection, None)):
        faults.extend(Fault(subject=row.ref, what=what) for what in _faults_of(blobs, row, sound))
    return (*faults, *_record_faults(tied, repair=repair))


def _record_faults(tied: TiedDatabase, *, repair: bool) -> Iterator[Fault]:
    """Records under the root that are damaged or differ from the database."""
    if not tied.is_tied():
        return
    tied.record_all()
    names = all_recorded(tied.files).names
    wanted = {record.name: record for record in tied.read(all_records)}
    found = dict(read_records(tied.files, names))
    damaged = [name for name in sorted(names & wanted.keys()) if found[name] is None]
    if repair:
        write_records(tied.files, [wanted[name] for name in damaged])
    for name in () if repair else damaged:
        what = f"the record {name} is damaged; `loray registry fsck --repair` writes it again"
        yield Fault(subject="events", what=what)
    for name in sorted(names & wanted.keys()):
        if found[name] not in (None, wanted[name]):
            yield Fault(subject="events", what=f"the record {name} and the database differ")


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


def sweep(
    database: TiedDatabase,
    blobs: Blobs,
    *,
    dry_run: bool,
    grace_seconds: float,
    only: Collection[str] | None = None,
) -> Sweep:
    """Delete blobs that no version refers to, and what interrupted work left behind.

    Younger ones than `grace_seconds` are spared, and partial work for at least an hour. The sweep
    shuts publishers out while it deletes, and a publisher looks for its blobs again inside its own
    transaction: a version can never lose one, however short the grace.

    Args:
        only: spare what is not among these digests and names of partial work, as a dry run
            listed them; everything may go when it is not given.

    Raises:
        AdapterError: a manifest is damaged, so nobody knows what may go; nothing was deleted.
        RegistryMismatchError: the database and the root do not belong together, or the root knows
            of events that the database does not; nothing was deleted.
    """
    is_tied = database.is_tied()
    if is_tied and not dry_run:
        database.require_all_known()
    wanted: dict[str, set[str]] = {}
    database.read(lambda connection: _mark(connection, blobs, wanted))
    spared = set().union(*wanted.values())
    old = {
        entry.digest: entry.num_bytes
        for entry in blobs.entries()
        if entry.age_seconds >= grace_seconds
        and entry.digest not in spared
        and (only is None or entry.digest in only)
    }
    if old and not dry_run and not is_tied:
        database.require_all_known()  # raises: nothing proves that these are its own
    pending = iter(sorted(old))
    gone: list[str] = sorted(old) if dry_run else []
    while not dry_run and (batch := list(islice(pending, _DELETIONS_A_LOCK))):
        gone += database.write(partial(_delete, blobs=blobs, batch=batch, wanted=wanted))
    left = _sweep_partial(blobs, only, dry_run=dry_run, grace_seconds=grace_seconds)
    return Sweep(
        dry_run=dry_run,
        blobs=tuple(gone),
        partial=left,
        num_bytes=sum(old[digest] for digest in gone),
        names=_names_of(blobs, old) if dry_run else (),
    )


def _names_of(blobs: Blobs, old: dict[str, int]) -> tuple[str, ...]:
    """The adapters that manifests among the blobs were written for; a few are looked at."""
    small = [digest for digest, size in old.items() if size <= MAX_MANIFEST_BYTES]
    names = set()
    for digest in small[:_MANIFESTS_TO_NAME]:
        try:
            names.add(read_manifest(blobs, digest).name)
        except AdapterError:
            continue
    return tuple(sorted(names))


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


def _sweep_partial(
    blobs: Blobs, only: Collection[str] | None, *, dry_run: bool, grace_seconds: float
) -> tuple[str, ...]:
    parent = blobs.scratch / "partial"
    found = sorted(parent.iterdir()) if parent.is_dir() else []
    grace = max(grace_seconds, _PARTIAL_GRACE_SECONDS)
    old = [p for p in found if _age(p) >= grace and (only is None or p.name in only)]
    for path in () if dry_run else old:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return tuple(path.name for path in old)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its maker just finished
        return 0.0
