"""The append-only log: who changed what, when and why; and what a second try looks for."""

import getpass
import socket
import uuid
from datetime import UTC, datetime

import sqlalchemy as sa

from loray.registry.records import Event, EventKind
from loray.registry.schema import event


def new_operation() -> str:
    """A name for one change, under which its event is found should its commit go unanswered."""
    return uuid.uuid4().hex


def current_user() -> str:
    """`user@host`, for the log; not proven in any way."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in the user database
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:200]


def timestamp() -> str:
    """The time now, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def append_event(
    connection: sa.Connection,
    operation: str,
    kind: EventKind,
    name: str,
    **values: str | int | None,
) -> None:
    """Write one event; `values` are the other columns."""
    for field, limit in (("who", 200), ("reason", 2000)):
        if field in values:
            values[field] = _plain(str(values[field]), limit)
    row = {
        "operation": operation, "kind": kind, "name": name, "at": timestamp(),
        "who": current_user(), "reason": "",
    }  # fmt: skip
    connection.execute(event.insert().values(row | values))


def _plain(text: str, limit: int) -> str:
    """`text` without what could upset a database or a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:limit])


def is_done(connection: sa.Connection, operation: str) -> bool:
    """Whether an earlier try of `operation` was committed after all."""
    found = connection.scalar(sa.select(event.c.id).where(event.c.operation == operation))
    return found is not None


def read_events(
    connection: sa.Connection, name: str | None, *, after: int = 0
) -> tuple[Event, ...]:
    """Events with an id above `after`, oldest first, of one adapter or of all."""
    statement = sa.select(event).where(event.c.id > after).order_by(event.c.id)
    if name is not None:
        statement = statement.where(event.c.name == name)
    return tuple(_event(row) for row in connection.execute(statement).mappings())


def alias_history(connection: sa.Connection, name: str, alias: str) -> tuple[Event, ...]:
    """Every move of an alias, oldest first."""
    statement = (
        sa.select(event)
        .where(event.c.name == name, event.c.alias == alias)
        .order_by(event.c.generation)
    )
    return tuple(_event(row) for row in connection.execute(statement).mappings())


def _event(row: sa.RowMapping) -> Event:
    return Event(**{field: row[field] for field in Event.model_fields})
