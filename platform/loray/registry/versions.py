"""Transactions on versions: add one, change its state, read them."""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from loray.errors import AdapterNotFoundError, RegistryError
from loray.registry.events import append_event, current_user, is_done, timestamp
from loray.registry.names import parse_reference
from loray.registry.records import Lineage, State, Version, VersionManifest
from loray.registry.schema import adapter, alias, meta, version

NEXT_STATES: dict[State, tuple[State, ...]] = {
    "registered": ("evaluated", "rejected", "withdrawn"),
    "evaluated": ("promotable", "rejected", "withdrawn"),
    "promotable": ("withdrawn",),
    "rejected": ("withdrawn",),
    "withdrawn": (),
}


@dataclass(frozen=True)
class NewVersion:
    """A version whose blobs are in place and whose row is not."""

    manifest: VersionManifest
    digest: str
    num_bytes: int
    """Size of the manifest's blob."""
    idempotency_key: str
    reason: str = ""
    """For the log: how the version was made, where it was made from others."""

    @property
    def blobs(self) -> dict[str, int]:
        """The size of every blob that the version needs, by digest."""
        files = {entry.sha256: entry.size for entry in self.manifest.files}
        return files | {self.digest: self.num_bytes}


class BlobsSweptError(RegistryError):
    """A sweep took a blob between its put and this commit; put it again."""


def add_version(
    connection: sa.Connection,
    new: NewVersion,
    operation: str,
    *,
    has_blob: Callable[[str, int], bool],
    fence: Callable[[sa.Connection], None] | None,
) -> Version:
    """Commit a version under the next number; the one already there when the key was used before.

    Args:
        fence: raises when the caller may not write any more; called inside the transaction.

    Raises:
        BlobsSweptError: a blob is gone; nothing was written.
        RegistryError: the key was used for other content, or a parent does not exist.
    """
    name, lineage = new.manifest.name, new.manifest.lineage
    connection.execute(sa.select(meta).with_for_update(read=True))  # no sweep until we are done
    if fence is not None:
        fence(connection)
    ensure_row(connection, adapter, name=name, last_version=0)
    last = connection.scalar(
        sa.select(adapter.c.last_version).where(adapter.c.name == name).with_for_update()
    )
    there = find_by_key(connection, new)
    if there is not None:
        return there
    for parent in lineage.parents:
        _check_parent(connection, parent)
    if not all(has_blob(digest, size) for digest, size in new.blobs.items()):
        raise BlobsSweptError(f"blobs of {name} were swept before they were committed; try again")
    row = Version(
        name=name,
        number=int(last or 0) + 1,
        digest=new.digest,
        adapter_digest=new.manifest.adapter_digest,
        state="registered",
        lineage=lineage,
        scores=new.manifest.scores,
        created=timestamp(),
    )
    _insert(connection, row, new.idempotency_key)
    append_event(
        connection, operation, "registered", name,
        to_version=row.number, to_state=row.state, reason=new.reason,
    )  # fmt: skip
    return row


def _insert(connection: sa.Connection, row: Version, key: str) -> None:
    flat = row.model_dump(mode="json", exclude={"lineage"}) | row.lineage.model_dump(mode="json")
    connection.execute(
        adapter.update().where(adapter.c.name == row.name).values(last_version=row.number)
    )
    try:
        connection.execute(version.insert().values(idempotency_key=key, **flat))
    except IntegrityError:
        raise RegistryError(
            f"the idempotency key {key!a} was used for another adapter just now; "
            "use a key of its own for each adapter"
        ) from None


def find_by_key(connection: sa.Connection, new: NewVersion) -> Version | None:
    """The version that was registered under the same key, if any.

    Raises:
        RegistryError: it is another adapter's, or has other weights.
    """
    statement = sa.select(version).where(version.c.idempotency_key == new.idempotency_key)
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    found, manifest = as_version(row), new.manifest
    if (found.name, found.adapter_digest) != (manifest.name, manifest.adapter_digest):
        raise RegistryError(
            f"the idempotency key {new.idempotency_key!a} already made {found.ref} with adapter "
            f"digest {found.adapter_digest[:12]}, now it came with {manifest.name} and "
            f"{manifest.adapter_digest[:12]}; use another key for other content"
        )
    return found


def _check_parent(connection: sa.Connection, parent: str) -> None:
    reference = parse_reference(parent)
    if reference.number is None:
        raise RegistryError(f"the parent {parent!a} is no version; write it as name@number")
    read_version(connection, reference.name, reference.number)


def change_state(
    connection: sa.Connection,
    known: Version,
    state: State,
    operation: str,
    *,
    who: str | None,
    reason: str,
) -> Version:
    """Move a version along `registered -> evaluated -> promotable`, or out of use.

    Raises:
        RegistryError: no such step from its state, or an alias names a version on its way out.
    """
    row = read_version(connection, known.name, known.number, is_locked=True)
    if row.state == state or is_done(connection, operation):
        return row
    if state not in NEXT_STATES[row.state]:
        steps = " or ".join(NEXT_STATES[row.state]) or "nothing: it is out of use for good"
        raise RegistryError(f"{row.ref} is {row.state} and cannot become {state}; next is {steps}")
    if state in ("rejected", "withdrawn"):
        _check_no_alias(connection, row)
    here = (version.c.name == row.name) & (version.c.number == row.number)
    connection.execute(version.update().where(here).values(state=state))
    append_event(
        connection,
        operation,
        "state",
        row.name,
        from_version=row.number,
        to_version=row.number,
        from_state=row.state,
        to_state=state,
        who=who or current_user(),
        reason=reason,
    )
    return row.model_copy(update={"state": state})


def _check_no_alias(connection: sa.Connection, row: Version) -> None:
    statement = sa.select(alias.c.alias).where(
        alias.c.name == row.name, alias.c.version == row.number
    )
    names = sorted(connection.scalars(statement))
    if names:
        raise RegistryError(
            f"{row.ref} is what {', '.join(f'{row.name}@{a}' for a in names)} names; "
            "move the alias to another version first"
        )


def read_version(
    connection: sa.Connection, name: str, number: int, *, is_locked: bool = False
) -> Version:
    """One version; `is_locked` keeps others from changing it until this transaction ends.

    Raises:
        AdapterNotFoundError: there is none.
    """
    statement = sa.select(version).where(version.c.name == name, version.c.number == number)
    if is_locked:
        statement = statement.with_for_update()
    row = connection.execute(statement).mappings().first()
    if row is None:
        last = connection.scalar(sa.select(adapter.c.last_version).where(adapter.c.name == name))
        known = f"its last version is {last}" if last else f"there is no adapter {name}"
        raise AdapterNotFoundError(
            f"{name}@{number} is not in the registry: {known}; `loray registry ls` lists them"
        )
    return as_version(row)


def read_versions(connection: sa.Connection, name: str | None) -> tuple[Version, ...]:
    """All versions of an adapter, or of all adapters, by name and number."""
    statement = sa.select(version).order_by(version.c.name, version.c.number)
    if name is not None:
        statement = statement.where(version.c.name == name)
    return tuple(as_version(row) for row in connection.execute(statement).mappings())


def as_version(row: sa.RowMapping) -> Version:
    """A row of the table as a value."""
    lineage = {field: row[field] for field in Lineage.model_fields if field != "parents"}
    own = ("name", "number", "digest", "adapter_digest", "state", "created")
    scores = {name: float(score) for name, score in row["scores"].items()}
    return Version(
        **{field: row[field] for field in own},
        lineage=Lineage(**lineage, parents=tuple(row["parents"])),
        scores=scores,
    )


def ensure_row(connection: sa.Connection, table: sa.Table, **values: str | float | None) -> None:
    """Insert a row unless its key is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(values).on_conflict_do_nothing())
