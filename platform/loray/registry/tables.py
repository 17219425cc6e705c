"""All rows of a registry's tables, out of one database and into an empty one, of either kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from loray.errors import RegistryError
from loray.registry.identity import is_empty, read_identity
from loray.registry.schema import METADATA, adapter, alias, event, lease, meta, version

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]
"""Rows by table, as JSON can hold them."""

_TABLES = (adapter, version, alias, event, lease)
"""In the order in which foreign keys let them be filled."""
_ROWS_AT_ONCE = 500


def dump_tables(connection: sa.Connection) -> Iterator[tuple[str, Row]]:
    """Every row with its table's name, in an order that is the same each time."""
    for table in _TABLES:
        statement = sa.select(table).order_by(*table.primary_key.columns)
        for row in connection.execute(statement).mappings():
            yield table.name, dict(row)


def load_tables(connection: sa.Connection, identity: str, rows: Rows) -> None:
    """Fill an empty database; leases are there as released, so that attempt numbers keep rising.

    Raises:
        RegistryError: the database is not empty.
    """
    check_empty(connection)
    if rows.get(lease.name):
        connection.execute(lease.delete())
    if read_identity(connection) is None:
        connection.execute(meta.insert().values(key="identity", value=identity))
    for table in _TABLES:
        found = rows.get(table.name, ())
        if table is lease:
            found = [{**row, "is_released": True} for row in found]
        for begin in range(0, len(found), _ROWS_AT_ONCE):
            connection.execute(table.insert(), list(found[begin : begin + _ROWS_AT_ONCE]))
    last = max((row["id"] for row in rows.get(event.name, ())), default=0)
    if connection.dialect.name == "postgresql" and last:
        name = sa.func.pg_get_serial_sequence("event", "id")
        connection.execute(sa.select(sa.func.setval(name, last)))


def check_empty(connection: sa.Connection, identity: str | None = None) -> None:
    """Whether a database may be filled.

    Args:
        identity: one that it may have.

    Raises:
        RegistryError: it holds something, which is never written over.
    """
    if not is_empty(connection) or read_identity(connection) not in (None, identity):
        raise RegistryError(
            "the database is in use by a registry, which is never written over; name a new one "
            "with --url, or move the old one away"
        )


def table_names() -> tuple[str, ...]:
    """The tables whose rows are dumped."""
    return tuple(table.name for table in _TABLES)


def check_rows(rows: Rows) -> None:
    """Whether rows fit the tables.

    Raises:
        RegistryError: there is another table, or a row with other columns.
    """
    for name, found in rows.items():
        if name not in table_names():
            raise RegistryError(f"there is no table {ascii(name)[:40]}; use a newer loray")
        columns = {column.name for column in METADATA.tables[name].columns}
        if any(row.keys() != columns for row in found):
            raise RegistryError(f"rows of {name} have other columns; use the loray of the backup")
