"""Transactions on aliases: each move names the generation it saw, and loses if that has passed."""

from dataclasses import dataclass, field

import sqlalchemy as sa

from loray.errors import AdapterNotFoundError, AliasMovedError, RegistryError
from loray.registry.events import alias_history, append_event, current_user, is_done, new_operation
from loray.registry.names import CHAMPION
from loray.registry.records import Alias, Event, EventKind, Version
from loray.registry.schema import adapter, alias
from loray.registry.versions import ensure_row, read_version


@dataclass(frozen=True)
class Move:
    """An alias's move, wanted by someone who saw it at `expected_generation`."""

    name: str
    alias: str
    to: int | None
    """A version number; null takes the alias away."""
    expected_generation: int
    reason: str = ""
    who: str | None = None
    operation: str = field(default_factory=new_operation)
    kind: EventKind = "alias"
    needs_promotable: bool = False
    needs_newer: bool = False
    """Refuse to go from a version to one with a lower number."""


def read_alias(
    connection: sa.Connection, name: str, alias_name: str, *, is_locked: bool = False
) -> Alias:
    """An alias as it is; generation 0 and no version when it was never set."""
    statement = sa.select(alias).where(alias.c.name == name, alias.c.alias == alias_name)
    if is_locked:
        statement = statement.with_for_update()
    row = connection.execute(statement).mappings().first()
    if row is None:
        return Alias(name=name, alias=alias_name, version=None, generation=0)
    return Alias(**row)


def read_aliases(connection: sa.Connection, name: str | None) -> tuple[Alias, ...]:
    """All aliases that name a version, of one adapter or of all."""
    statement = (
        sa.select(alias).where(alias.c.version.is_not(None)).order_by(alias.c.name, alias.c.alias)
    )
    if name is not None:
        statement = statement.where(alias.c.name == name)
    return tuple(Alias(**row) for row in connection.execute(statement).mappings())


def aliased_version(connection: sa.Connection, name: str, alias_name: str) -> Version:
    """The version that an alias names.

    Raises:
        AdapterNotFoundError: the alias names none.
    """
    found = read_alias(connection, name, alias_name)
    if found.version is None:
        check_adapter(connection, name)
        known = [a.alias for a in read_aliases(connection, name)]
        hint = f"its aliases are {', '.join(known)}" if known else "no alias of it is set"
        raise AdapterNotFoundError(
            f"{name}@{alias_name} is not in the registry: {hint}; "
            "`loray registry ls` lists adapters, `loray registry promote` sets the champion"
        )
    return read_version(connection, name, found.version)


def move_alias(connection: sa.Connection, move: Move) -> Alias:
    """Point an alias elsewhere by compare-and-swap on its generation.

    Raises:
        AliasMovedError: someone else moved it since; the message names where it is now.
        RegistryError: the version is out of use, or not promotable where it must be.
    """
    if is_done(connection, move.operation):
        return read_alias(connection, move.name, move.alias)
    if move.to is not None:
        _check_may_be_named(read_version(connection, move.name, move.to, is_locked=True), move)
    check_adapter(connection, move.name)
    ensure_row(connection, alias, name=move.name, alias=move.alias, version=None, generation=0)
    seen = read_alias(connection, move.name, move.alias, is_locked=True)
    if move.expected_generation != seen.generation:
        at = "no version" if seen.version is None else f"{seen.name}@{seen.version}"
        raise AliasMovedError(
            f"{move.name}@{move.alias} is at generation {seen.generation} and names {at}, you saw "
            f"generation {move.expected_generation}; read it again and decide again"
        )
    if move.needs_newer and (seen.version or 0) > (move.to or 0):
        raise RegistryError(
            f"{move.name}@{move.to} is older than {move.name}@{seen.version}, which {move.alias} "
            "names; use `loray registry promote --force` to go back all the same, or `loray "
            "registry rollback`"
        )
    after = Alias(name=move.name, alias=move.alias, version=move.to, generation=seen.generation + 1)
    connection.execute(
        alias.update()
        .where(alias.c.name == move.name, alias.c.alias == move.alias)
        .where(alias.c.generation == seen.generation)
        .values(version=after.version, generation=after.generation)
    )
    append_event(
        connection,
        move.operation,
        move.kind,
        move.name,
        alias=move.alias,
        generation=after.generation,
        from_version=seen.version,
        to_version=move.to,
        reason=move.reason,
        who=move.who or current_user(),
    )
    return after


def check_adapter(connection: sa.Connection, name: str) -> None:
    """Whether there is an adapter of that name.

    Raises:
        AdapterNotFoundError: there is none.
    """
    if connection.scalar(sa.select(adapter.c.name).where(adapter.c.name == name)) is None:
        raise AdapterNotFoundError(
            f"{name} is not in the registry; `loray registry ls` lists adapters"
        )


def _check_may_be_named(row: Version, move: Move) -> None:
    if row.state in ("rejected", "withdrawn"):
        raise RegistryError(f"{row.ref} is {row.state}; choose a version that is in use")
    if (move.needs_promotable or move.alias == CHAMPION) and row.state != "promotable":
        step = "evaluate it" if row.state == "registered" else "let it pass its gates"
        raise RegistryError(
            f"{row.ref} is {row.state}, and {move.alias} takes promotable versions only; "
            f"{step} first (`loray apply` does), or choose another version"
        )


def previous_version(connection: sa.Connection, name: str, alias_name: str) -> int:
    """Where a rollback goes: the version before this one that is still in use.

    A rollback undoes a move, and a second one undoes the move before that: it never returns to
    the version it fled from.

    Raises:
        RegistryError: there is nothing to go back to.
    """
    stack = _undo_stack(alias_history(connection, name, alias_name))
    for number in reversed(stack):
        if number is None or number == stack[-1]:
            continue
        if read_version(connection, name, number).state not in ("rejected", "withdrawn"):
            return number
    raise RegistryError(
        f"{name}@{alias_name} never named another version that is still in use; "
        "promote a version instead"
    )


def _undo_stack(history: tuple[Event, ...]) -> list[int | None]:
    stack: list[int | None] = []
    for past in history:
        if past.kind == "rollback" and past.to_version in stack:
            while stack[-1] != past.to_version:
                stack.pop()
        else:
            stack.append(past.to_version)
    return stack
