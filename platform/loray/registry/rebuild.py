"""A lost database, made again from what its storage root holds: event records and manifests."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from loray.errors import RegistryError
from loray.registry.blobs import Blobs, open_blobs
from loray.registry.database import Database
from loray.registry.event_files import (
    SET_ASIDE,
    EventRecord,
    LoggedEvent,
    all_recorded,
    read_records,
    set_aside,
)
from loray.registry.events import current_user, new_operation, timestamp
from loray.registry.identity import new_identity, read_root_identity, root_manifests
from loray.registry.records import Version, VersionManifest
from loray.registry.root_files import RootFiles, open_root_files
from loray.registry.storage_failures import explaining_storage_failures
from loray.registry.tables import Row, check_empty, load_tables
from loray.registry.tied import TiedDatabase

_LEASES = (
    "leases are not kept in the root: end every process that still works with the lost database"
)


@dataclass
class Rebuild:
    """What a rebuild restores, and what it cannot."""

    identity: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By table."""
    lost: list[str] = field(default_factory=list)
    """What cannot be restored, in words."""
    damaged: list[str] = field(default_factory=list)
    """Names of records that are damaged or gone; they are set aside, so that they do not stand
    against the new database."""
    unrecorded: list[str] = field(default_factory=list)
    """Manifests that no record names: of versions whose number nobody knows, or never committed."""


def rebuild(url: str, root: str, *, unrecorded: bool = False, dry_run: bool = True) -> Rebuild:
    """Fill an empty database from a storage root, in one transaction.

    Versions come back with their numbers and states, aliases with their generations, and the log.
    The same root gives the same rows each time.

    Args:
        unrecorded: also register manifests without a record (those that an older loray wrote),
            under the numbers after the known ones, oldest first.
        dry_run: only say what would be restored.

    Raises:
        RegistryError: the database holds something, or the root holds nothing to restore.
    """
    database = Database(url)
    with explaining_storage_failures():
        blobs, files = open_blobs(root), open_root_files(root)
        found = _look(files, blobs, unrecorded=unrecorded)
        database.read(partial(check_empty, identity=found.identity))
        if dry_run:
            return found
        set_aside(files, found.damaged)
        database.write(partial(load_tables, identity=found.identity, rows=found.rows))
        TiedDatabase(database, files, blobs).tie()
    return found


def _look(files: RootFiles, blobs: Blobs, *, unrecorded: bool) -> Rebuild:
    found = Rebuild(read_root_identity(files) or new_identity())
    records: list[EventRecord] = []
    for name, record in read_records(files, all_recorded(files).all_names):
        if record is None:
            found.damaged.append(name)
        else:
            records.append(record)
    damaged = sorted({*found.damaged, *files.names(SET_ASIDE)})
    found.lost += [
        f"the record {name} is damaged or gone, and its event is lost" for name in damaged
    ]
    found.lost += _gaps([int(name[:12]) for name in (*damaged, *(r.name for r in records))])
    _check_one_writer(records)
    known = {record.version.digest for record in records if record.version}
    age = {entry.digest: entry.age_seconds for entry in blobs.entries()}
    loose = [
        (digest, manifest)
        for digest, manifest in root_manifests(blobs)
        if digest not in known and _is_whole(manifest, blobs)
    ]
    loose.sort(key=lambda pair: (-age.get(pair[0], 0.0), pair[0]))
    if unrecorded:
        records += _invent(records, loose)
    else:
        found.unrecorded = [f"{manifest.name}: manifest {digest}" for digest, manifest in loose]
    if not records and not loose:
        raise RegistryError(
            f"{files.place} holds no record and no manifest, so there is nothing to restore; name "
            "the storage root of the lost registry with --root"
        )
    found.lost += [f"the manifest of {ref} is missing" for ref in _without(records, age)]
    found.rows = _replay(records, found.lost)
    found.lost.append(_LEASES)
    return found


def _gaps(numbers: list[int]) -> list[str]:
    """Numbers of events without a record; PostgreSQL also skips those of undone transactions."""
    gaps = [(one + 1, other - 1) for one, other in pairwise(sorted({0, *numbers}))]
    return [
        f"no record of event {first if first == last else f'{first} to {last}'}: its file is gone "
        "and what it changed is lost, or PostgreSQL skipped the number"
        for first, last in gaps
        if first <= last
    ]


def _check_one_writer(records: list[EventRecord]) -> None:
    """Whether one database wrote the records.

    Raises:
        RegistryError: two did, under the same numbers.
    """
    for one, other in pairwise(records):
        if one.event.id == other.event.id:
            raise RegistryError(
                f"the records {one.name} and {other.name} have the same number: two databases "
                "wrote to the root, so nobody knows what happened; restore a backup, or move the "
                "records of the database that is to be forgotten away"
            )


def _is_whole(manifest: VersionManifest, blobs: Blobs) -> bool:
    return all(blobs.has(entry.sha256, entry.size) for entry in manifest.files)


def _without(records: list[EventRecord], age: dict[str, float]) -> list[str]:
    return [r.version.ref for r in records if r.version and r.version.digest not in age]


def _invent(
    records: list[EventRecord], loose: list[tuple[str, VersionManifest]]
) -> list[EventRecord]:
    """Records for manifests without one; they say how they came about."""
    last: dict[str, int] = defaultdict(int)
    for record in records:
        last[record.event.name] = max(last[record.event.name], record.event.to_version or 0)
    number = max((record.event.id for record in records), default=0)
    made = []
    for digest, manifest in loose:
        number, last[manifest.name] = number + 1, last[manifest.name] + 1
        version = Version(
            name=manifest.name, number=last[manifest.name], digest=digest,
            adapter_digest=manifest.adapter_digest, state="registered", lineage=manifest.lineage,
            scores=manifest.scores, created=timestamp(),
        )  # fmt: skip
        logged = LoggedEvent(
            id=number, operation=new_operation(), at=version.created, who=current_user(),
            kind="registered", name=version.name, alias=None, generation=None, from_version=None,
            to_version=version.number, from_state=None, to_state="registered",
            reason="rebuilt from a manifest without a record: its old number is not known",
        )  # fmt: skip
        key = f"rebuild:{version.name}:{digest}"
        made.append(EventRecord(event=logged, version=version, idempotency_key=key))
    return made


def _replay(records: list[EventRecord], lost: list[str]) -> dict[str, list[Row]]:
    """The tables' rows after all events; adds to `lost` what they leave open."""
    last: dict[str, int] = defaultdict(int)
    versions: dict[tuple[str, int], Row] = {}
    aliases: dict[tuple[str, str], Row] = {}
    for record in records:
        logged = record.event
        number = logged.to_version or 0
        last[logged.name] = max(last[logged.name], number)
        if record.version is not None:
            row = _version_row(record.version, record.idempotency_key)
            versions[logged.name, number] = row
        elif logged.kind == "state" and (logged.name, number) in versions:
            versions[logged.name, number]["state"] = logged.to_state
        elif logged.alias is not None:
            seen = aliases.get((logged.name, logged.alias), {"generation": 0})["generation"]
            if logged.generation != seen + 1:
                lost.append(f"moves of {logged.name}@{logged.alias} before {logged.generation}")
            aliases[logged.name, logged.alias] = {
                "name": logged.name, "alias": logged.alias, "version": logged.to_version,
                "generation": logged.generation,
            }  # fmt: skip
    _leave_out_dangling(last, versions, aliases, lost)
    return {
        "adapter": [{"name": n, "last_version": last[n]} for n in sorted(last)],
        "version": [versions[key] for key in sorted(versions)],
        "alias": [aliases[key] for key in sorted(aliases)],
        "event": [record.event.model_dump(mode="json") for record in records],
    }


def _leave_out_dangling(
    last: dict[str, int],
    versions: dict[tuple[str, int], Row],
    aliases: dict[tuple[str, str], Row],
    lost: list[str],
) -> None:
    """Take away aliases of versions that are lost, and say which are."""
    for name, number in last.items():
        lost += [f"{name}@{n}" for n in range(1, number + 1) if (name, n) not in versions]
    for (name, alias), row in aliases.items():
        if row["version"] is not None and (name, row["version"]) not in versions:
            lost.append(f"{name}@{alias} named {name}@{row['version']}, now it names nothing")
            row["version"] = None


def _version_row(version: Version, key: str | None) -> Row:
    flat: Row = version.model_dump(mode="json", exclude={"lineage"})
    return flat | version.lineage.model_dump(mode="json") | {"idempotency_key": key}
