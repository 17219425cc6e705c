"""Leases that fence the drivers of one run: of two at once, exactly one proceeds.

Ray lets two drivers of the same run both finish "ok", the later one's snapshot over the other's.
Here the holder of a lease renews it from a thread, and shows it (`Lease.check`, or
`Registry.register(lease=...)`) before anything that others will see. A holder that stalled for
longer than the lease finds it taken, by an attempt with a higher number, and must stop.
"""

import logging
import threading
import time
from functools import partial
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from loray.errors import LeaseError, RegistryError
from loray.registry import leases
from loray.registry.database import Database
from loray.registry.leases import Holder, Token
from loray.registry.names import check_key
from loray.registry.process import this_process

DEFAULT_TTL_SECONDS = 30.0
_WAIT_STEP_SECONDS = 0.2
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # runs on while a laptop sleeps

logger = logging.getLogger(__name__)


class RunLedger:
    """The leases in a registry's database; safe to share and to pickle."""

    def __init__(self, url: str) -> None:
        """Open the database; see `Registry` for the URL and what is raised."""
        self._database = Database(url)

    def __reduce__(self) -> tuple[type["RunLedger"], tuple[str]]:
        return RunLedger, (self._database.url,)

    def acquire(
        self,
        key: str,
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        wait_seconds: float = 0.0,
    ) -> "Lease":
        """Take the lease on `key`, or fail.

        Args:
            ttl_seconds: how long a holder on another host may be silent before it is taken for
                dead; on this host a dead process is found out at once.
            wait_seconds: how long to wait for a live holder before failing.

        Raises:
            LeaseError: another live process holds it; the message says which.
        """
        check_key(key)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                return self._acquire(key, ttl_seconds)
            except LeaseError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_WAIT_STEP_SECONDS)

    def _acquire(self, key: str, ttl_seconds: float) -> "Lease":
        holder, process = leases.new_holder(), this_process()
        asked = time.clock_gettime(_CLOCK)
        token = self._database.write(
            lambda c: leases.take_lease(c, key, holder, process, ttl_seconds)
        )
        logger.info("attempt %d of %s holds its lease", token.attempt, key)
        return Lease(self._database, token, ttl_seconds, asked)

    def holder(self, key: str) -> Holder | None:
        """Who holds the lease on `key` now; None when nobody does."""
        check_key(key)
        found = self._database.read(lambda c: leases.read_holder(c, key))
        return found[0] if found and found[0].is_live(found[1]) else None

    def refuse_held(self, key: str) -> None:
        """See that nobody holds the lease on `key` now; another may still take it first.

        Raises:
            LeaseError: another live process holds it; the message says which.
        """
        check_key(key)
        self._database.read(lambda c: leases.refuse_live(c, key))

    def live_keys(self) -> list[str]:
        """Keys of all leases that somebody holds now."""
        return self._database.read(leases.live_keys)


class Lease:
    """A lease that a thread renews until it is released; a context manager."""

    def __init__(self, database: Database, token: Token, ttl_seconds: float, asked: float) -> None:
        self.token = token
        self._database = database
        self._ttl_seconds = ttl_seconds
        self._heard = asked  # when the last renewal that went through was asked for
        self._lost: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._renew_until_stopped, name=f"lease-{token.key}", daemon=True
        )
        self._thread.start()

    @property
    def key(self) -> str:
        """What is leased."""
        return self.token.key

    @property
    def attempt(self) -> int:
        """From 1; every later holder of the key has a higher one."""
        return self.token.attempt

    def check(self) -> None:
        """Ask the database whether the lease is still held.

        Raises:
            LeaseError: it is not; stop without publishing anything.
        """
        if self._lost is not None:
            raise LeaseError(self._lost)
        try:
            self._database.write(self.check_within, may_create=False)
        except LeaseError as error:
            self._lost = str(error)
            raise

    def check_within(self, connection: sa.Connection) -> None:
        """Fence a transaction: as long as it lasts nobody can take the lease.

        Raises:
            LeaseError: the lease is not held any more; the transaction must be undone.
        """
        leases.check_lease(connection, self.token)

    @property
    def is_lost(self) -> bool:
        """Whether another attempt has it, or may have it; cheap, for use in a loop."""
        silent = time.clock_gettime(_CLOCK) - self._heard
        return self._lost is not None or silent > self._ttl_seconds

    def release(self) -> None:
        """Stop renewing and let others take the lease; may be called again."""
        self._stop.set()
        self._thread.join(timeout=self._ttl_seconds)
        try:
            release = partial(leases.release_lease, token=self.token)
            self._database.write(release, may_create=False)
        except RegistryError as error:  # it runs out by itself
            logger.warning("the lease on %s was not released: %s", self.key, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _renew_until_stopped(self) -> None:
        renew = partial(leases.renew_lease, token=self.token, ttl_seconds=self._ttl_seconds)
        while not self._stop.wait(self._ttl_seconds / 3):
            asked = time.clock_gettime(_CLOCK)
            try:
                self._database.write(renew, may_create=False)
            except LeaseError as error:
                self._lost = str(error)
                logger.warning("%s", error)
                return
            except RegistryError as error:  # the database is away: try until the lease runs out
                logger.warning("the lease on %s was not renewed: %s", self.key, error)
                continue
            self._heard = asked
