"""Transactions on leases: one holder per key, each with an attempt number above the last."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from loray.errors import LeaseError
from loray.registry.database import now
from loray.registry.process import ProcessIdentity, is_surely_alive, is_surely_dead
from loray.registry.schema import lease
from loray.registry.versions import ensure_row


@dataclass(frozen=True)
class Token:
    """What the holder of a lease shows: a fence, since an attempt number is given only once."""

    key: str
    attempt: int
    """From 1; a later holder has a higher one."""
    holder: str


@dataclass(frozen=True)
class Holder:
    """Who holds, or last held, a lease."""

    process: ProcessIdentity
    attempt: int
    acquired: float
    heartbeat: float
    """Seconds since 1970, on the database's clock, as are the others."""
    expires: float
    is_released: bool

    def is_live(self, at: float) -> bool:
        """Whether nobody else may take the lease at time `at`."""
        return not self.is_released and at < self.expires and not is_surely_dead(self.process)


def take_lease(
    connection: sa.Connection, key: str, holder: str, process: ProcessIdentity, ttl_seconds: float
) -> Token:
    """Take a lease that is free, expired or its holder's who died.

    Raises:
        LeaseError: someone holds it; the message says who, since when and when last heard of.
    """
    ensure_row(
        connection, lease, key=key, attempt=0, holder="", host="", pid=0, process_started="",
        acquired=0.0, heartbeat=0.0, expires=0.0, is_released=True,
    )  # fmt: skip
    row = _locked(connection, key)
    at = now(connection)
    if row["holder"] == holder:  # an earlier try was committed after all
        return Token(key, row["attempt"], holder)
    current = as_holder(row)
    if current.is_live(at):
        raise _held(key, current, at)
    token = Token(key, current.attempt + 1, holder)
    connection.execute(
        lease.update()
        .where(lease.c.key == key)
        .values(
            attempt=token.attempt,
            holder=holder,
            host=process.host[:400],
            pid=process.pid,
            process_started=process.started,
            acquired=at,
            heartbeat=at,
            expires=at + ttl_seconds,
            is_released=False,
        )
    )
    return token


def renew_lease(connection: sa.Connection, token: Token, ttl_seconds: float) -> None:
    """Tell that the holder lives; also after it expired, if nobody has taken it meanwhile.

    Raises:
        LeaseError: another attempt has it.
    """
    check_lease(connection, token)
    at = now(connection)
    connection.execute(
        lease.update()
        .where(lease.c.key == token.key)
        .values(heartbeat=at, expires=at + ttl_seconds)
    )


def check_lease(connection: sa.Connection, token: Token) -> None:
    """Hold off everyone else until this transaction ends, if `token` still holds the lease.

    Raises:
        LeaseError: another attempt has it, or it was released.
    """
    row = _locked(connection, token.key)
    if (row["attempt"], row["holder"]) != (token.attempt, token.holder) or row["is_released"]:
        current = as_holder(row)
        state = "released" if current.is_released else f"held by {_who(current)}"
        raise LeaseError(
            f"attempt {token.attempt} of {token.key} has lost its lease: attempt "
            f"{current.attempt} is {state}; stop, the other one carries on"
        )


def release_lease(connection: sa.Connection, token: Token) -> None:
    """Let others take the lease now; nothing happens when they already have."""
    connection.execute(
        lease.update()
        .where(lease.c.key == token.key, lease.c.holder == token.holder)
        .values(is_released=True)
    )


def read_holder(connection: sa.Connection, key: str) -> tuple[Holder, float] | None:
    """Who holds or last held a lease, and the time by the same clock; None when nobody ever did."""
    row = connection.execute(sa.select(lease).where(lease.c.key == key)).mappings().first()
    return None if row is None else (as_holder(row), now(connection))


def refuse_live(connection: sa.Connection, key: str) -> None:
    """Refuse a lease that somebody holds now; takes nothing.

    Raises:
        LeaseError: someone holds it; the message says who, since when and when last heard of.
    """
    found = read_holder(connection, key)
    if found is not None and found[0].is_live(found[1]):
        raise _held(key, *found)


def live_keys(connection: sa.Connection) -> list[str]:
    """Keys of the leases that somebody holds now, by the clock or as a process that lives here."""
    at = now(connection)
    rows = connection.execute(sa.select(lease).where(sa.not_(lease.c.is_released))).mappings()
    found = [(str(row["key"]), as_holder(row)) for row in rows]
    return [key for key, held in found if held.is_live(at) or is_surely_alive(held.process)]


def new_holder() -> str:
    """A name that no other holder has."""
    return uuid.uuid4().hex


def as_holder(row: sa.RowMapping) -> Holder:
    """A row of the table as a value."""
    return Holder(
        process=ProcessIdentity(row["host"], row["pid"], row["process_started"]),
        attempt=row["attempt"],
        acquired=row["acquired"],
        heartbeat=row["heartbeat"],
        expires=row["expires"],
        is_released=row["is_released"],
    )


def _locked(connection: sa.Connection, key: str) -> sa.RowMapping:
    statement = sa.select(lease).where(lease.c.key == key).with_for_update()
    row = connection.execute(statement).mappings().first()
    if row is None:
        raise LeaseError(
            f"the lease on {key} is gone from the database, which was replaced since; stop, and "
            "start again"
        )
    return row


def _who(holder: Holder) -> str:
    return f"process {holder.process.pid} on {holder.process.host_name}"


def _held(key: str, holder: Holder, at: float) -> LeaseError:
    since = datetime.fromtimestamp(holder.acquired, UTC).isoformat(timespec="seconds")
    return LeaseError(
        f"{key} is held by {_who(holder)} since {since} (attempt {holder.attempt}), last heard of "
        f"{at - holder.heartbeat:.0f} s ago; wait until it ends, or stop it: then the lease is "
        f"free at once when it ran on this host, else {holder.expires - at:.0f} s from now"
    )
