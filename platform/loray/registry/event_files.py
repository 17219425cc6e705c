"""The log's events as files under the storage root, from which a lost database is rebuilt.

`registry/events/<id // 1000>/<id>-<operation>.json` is written after the event's transaction, and
again by the next write or by `fsck` where a process died in between. So the database always knows
every event that the root has; a database that does not is an old copy, or another registry's.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa
from pydantic import ValidationError

from loray.errors import RegistryError, RegistryMismatchError
from loray.registry.records import Event, Version
from loray.registry.root_files import RootFiles
from loray.registry.schema import event, version
from loray.registry.versions import as_version
from loray.spec.base import StrictModel

FOLDER = "events"
NEWEST = "newest"
"""Where a file has the name of the newest record: should the last records get lost together with
the database, it tells that there were some."""
SET_ASIDE = "damaged-events"
"""Where records lie that were damaged or gone when a database was rebuilt."""
IDS_A_SHARD = 1000
_NAME = re.compile(r"([0-9]{12})-([0-9a-f]{32})\.json")
_SHARD = re.compile(r"[0-9]{6,9}")


class LoggedEvent(Event):
    """An event with the name of the change that made it."""

    operation: str


class EventRecord(StrictModel):
    """What a file holds: the event, and of a registered version its whole row."""

    format: Literal[1] = 1
    event: LoggedEvent
    version: Version | None = None
    """As it was when it was registered."""
    idempotency_key: str | None = None

    @property
    def key(self) -> str:
        """Where it lies."""
        return _key(self.name)

    @property
    def name(self) -> str:
        """The file's name."""
        return _name(self.event.id, self.event.operation)


@dataclass(frozen=True)
class Recorded:
    """Names of files that the root had at some moment."""

    names: frozenset[str]
    start: int
    """Only events from this id on were looked for."""
    newest: str | None = None
    """The newest that was ever written, from that id on, which may be gone."""

    @property
    def all_names(self) -> frozenset[str]:
        """Of every record that there was, as far as the root knows."""
        return self.names if self.newest is None else self.names | {self.newest}


def last_recorded(files: RootFiles) -> Recorded:
    """The newest of the files: those that share a folder with the newest."""
    shards = [name for name in files.names(FOLDER) if _SHARD.fullmatch(name)]
    last = max(shards, key=int, default=None)
    names = frozenset() if last is None else frozenset(_names_in(files, last))
    return _with_newest(files, Recorded(names, 0 if last is None else int(last) * IDS_A_SHARD))


def all_recorded(files: RootFiles) -> Recorded:
    """All of the files."""
    shards = [name for name in files.names(FOLDER) if _SHARD.fullmatch(name)]
    names = frozenset(n for shard in shards for n in _names_in(files, shard))
    return _with_newest(files, Recorded(names, 0))


def _with_newest(files: RootFiles, recorded: Recorded) -> Recorded:
    marks = [name for name in files.names(NEWEST) if _NAME.fullmatch(name)]
    newest = max(marks, default=None)
    if newest is None or int(newest[:12]) < recorded.start:
        return recorded
    return replace(recorded, newest=newest)


def check_known(connection: sa.Connection, recorded: Recorded, files: RootFiles, url: str) -> None:
    """Whether the database knows every event that the root recorded before it was asked.

    Raises:
        RegistryMismatchError: it does not, so it is older than the root, or another one.
    """
    unknown = sorted(recorded.all_names - known_names(connection, recorded.start))
    if unknown:
        raise RegistryMismatchError(
            f"the storage root {files.place} has {len(unknown)} events that the database {url} "
            f"does not know, such as {unknown[0]}: the database is an older copy, or another one "
            "writes to the root, too; name the right one, or make it again from the root with "
            "`loray registry rebuild`"
        )


def known_names(connection: sa.Connection, start: int) -> set[str]:
    """The names that the files of the database's events have, from the id `start` on."""
    statement = sa.select(event.c.id, event.c.operation).where(event.c.id >= start)
    return {_name(row.id, row.operation) for row in connection.execute(statement)}


def unrecorded(connection: sa.Connection, recorded: Recorded) -> tuple[EventRecord, ...]:
    """The database's events, from `recorded.start` on, that have no file."""
    missing = known_names(connection, recorded.start) - recorded.names
    return tuple(records_of(connection, {int(name[:12]) for name in missing}))


def records_of(connection: sa.Connection, ids: Collection[int]) -> Iterator[EventRecord]:
    """The records of events, as the database has them."""
    wanted = sorted(ids)
    for begin in range(0, len(wanted), 500):
        some = wanted[begin : begin + 500]
        statement = sa.select(event).where(event.c.id.in_(some)).order_by(event.c.id)
        for row in connection.execute(statement).mappings().all():
            yield _record(connection, row)


def all_records(connection: sa.Connection) -> tuple[EventRecord, ...]:
    """The records of all of the database's events."""
    return tuple(records_of(connection, connection.scalars(sa.select(event.c.id)).all()))


def write_records(files: RootFiles, records: Collection[EventRecord]) -> None:
    """Write their files."""
    for record in records:
        files.write(record.key, encode(record))
    mark_newest(files, [record.name for record in records])


def mark_newest(files: RootFiles, names: Collection[str]) -> None:
    """Note the newest of the records that there are, unless a newer one is noted."""
    noted = [name for name in files.names(NEWEST) if _NAME.fullmatch(name)]
    newest = max(names, default="")
    if newest <= max(noted, default=""):
        return
    files.write(f"{NEWEST}/{newest}", b"{}")
    for name in noted:  # only now: whoever dies in between leaves two
        files.delete(f"{NEWEST}/{name}")


def encode(record: EventRecord) -> bytes:
    """A file's bytes: the record under its own checksum."""
    text = record.model_dump_json()
    digest = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"sha256": digest, "record": text}, indent=1).encode()


def decode(data: bytes) -> EventRecord:
    """The record in a file.

    Raises:
        RegistryError: it is cut, changed, or of another format.
    """
    try:
        outer = json.loads(data)
        text = outer["record"]
        is_whole = hashlib.sha256(text.encode()).hexdigest() == outer["sha256"]
        if is_whole:
            return EventRecord.model_validate_json(text)
    except (ValueError, TypeError, KeyError, AttributeError, ValidationError):
        pass
    raise RegistryError("the record is cut, changed, or of another format")


def read_records(
    files: RootFiles, names: Collection[str]
) -> Iterator[tuple[str, EventRecord | None]]:
    """Each record by its file's name, oldest first; None where it is gone, damaged or another's."""
    for name in sorted(names):
        try:
            record = decode(files.read(_key(name)) or b"")
        except RegistryError:
            yield name, None
        else:
            yield name, record if record.name == name else None


def set_aside(files: RootFiles, names: Collection[str]) -> None:
    """Move records that are damaged or gone to where nobody takes them for the database's."""
    for name in names:
        files.write(f"{SET_ASIDE}/{name}", files.read(_key(name)) or b"")
        files.delete(_key(name))
        files.delete(f"{NEWEST}/{name}")


def _key(name: str) -> str:
    return f"{FOLDER}/{int(name[:12]) // IDS_A_SHARD:06d}/{name}"


def _names_in(files: RootFiles, shard: str) -> list[str]:
    return [name for name in files.names(f"{FOLDER}/{shard}") if _NAME.fullmatch(name)]


def _name(number: int, operation: str) -> str:
    return f"{number:012d}-{operation}.json"


def _record(connection: sa.Connection, row: sa.RowMapping) -> EventRecord:
    logged = LoggedEvent(**{field: row[field] for field in LoggedEvent.model_fields})
    if logged.kind != "registered":
        return EventRecord(event=logged)
    here = (version.c.name == logged.name) & (version.c.number == logged.to_version)
    found = connection.execute(sa.select(version).where(here)).mappings().one()
    return EventRecord(
        event=logged,
        version=as_version(found).model_copy(update={"state": "registered"}),
        idempotency_key=found["idempotency_key"],
    )
