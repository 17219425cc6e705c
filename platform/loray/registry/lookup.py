"""Reading: what a reference stands for, what adapters there are, where a version comes from."""

import sqlalchemy as sa

from loray.errors import RegistryError
from loray.registry.aliases import aliased_version, read_aliases
from loray.registry.names import parse_reference
from loray.registry.records import Adapter, Version
from loray.registry.schema import adapter
from loray.registry.versions import read_version


def resolve(connection: sa.Connection, ref: str) -> Version:
    """The version that `name`, `name@3` or `name@alias` stands for.

    Raises:
        NameRefusedError: it is no reference.
        AdapterNotFoundError: there is no such version or alias.
    """
    wanted = parse_reference(ref)
    if wanted.number is not None:
        return read_version(connection, wanted.name, wanted.number)
    return aliased_version(connection, wanted.name, wanted.alias or "")


def check_in_use(connection: sa.Connection, version: Version) -> None:
    """Whether a version may be read.

    Raises:
        RegistryError: it was withdrawn.
        AdapterNotFoundError: there is none such any more.
    """
    if read_version(connection, version.name, version.number).state == "withdrawn":
        raise RegistryError(f"{version.ref} was withdrawn; choose another version")


def trace(connection: sa.Connection, ref: str) -> tuple[Version, ...]:
    """A version, then everything it was made from, each once, nearest first."""
    found = {(first := resolve(connection, ref)).ref: first}
    pending = [first]
    for version in pending:
        for parent in version.lineage.parents:
            if parent not in found:
                found[parent] = resolve(connection, parent)
                pending.append(found[parent])
    return tuple(pending)


def read_adapters(connection: sa.Connection) -> tuple[Adapter, ...]:
    """Every adapter with its aliases, by name."""
    named: dict[str, dict[str, int]] = {}
    for found in read_aliases(connection, None):
        named.setdefault(found.name, {})[found.alias] = found.version or 0
    return tuple(
        Adapter(name=row.name, last_version=row.last_version, aliases=named.get(row.name, {}))
        for row in connection.execute(sa.select(adapter).order_by(adapter.c.name))
    )
