"""Getting adapters into the engine's memory: once for all who wait, and never at others' cost."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loray.errors import LorayError
from loray.serve.catalog import AdapterVersion
from loray.serve.single_flight import SingleFlight

logger = logging.getLogger(__name__)

LOADS_AT_ONCE = 2
"""Versions that are fetched and read at the same time; more would only fight over the disk."""
REFUSE_SECONDS = 5.0
"""How long a version that could not be loaded is refused without trying again."""


class AdapterMemory(Protocol):
    """The part of the engine that holds adapters."""

    def holding(self, key: str, folder: Path) -> AbstractContextManager[None]:
        """Load `key` unless it is there, and keep it there inside the `with`.

        One that nobody uses may have to go, but only after the new one was read.

        Raises:
            LorayError: the files cannot be used; nothing has changed.
        """
        ...


@dataclass
class _Hold:
    """A version that is being loaded, or is kept for those who asked for it meanwhile."""

    num_users: int = 0
    kept: ExitStack | None = None


class Residency:
    """Loads versions on demand, keyed by digest."""

    def __init__(
        self,
        memory: AdapterMemory,
        folder: Callable[[AdapterVersion], Path],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory = memory
        self._folder = folder
        self._clock = clock
        self._loads: SingleFlight[None] = SingleFlight()
        self._turns = asyncio.Semaphore(LOADS_AT_ONCE)
        self._failed: dict[str, tuple[float, LorayError]] = {}
        self._holds: dict[str, _Hold] = {}

    @asynccontextmanager
    async def held(self, version: AdapterVersion) -> AsyncIterator[None]:
        """Inside, the version is resident and stays so; submit there.

        However many want it at once, it is loaded once, and kept until the last of them is done.

        Raises:
            LorayError: it cannot be loaded, or could not a moment ago.
        """
        failed_at, error = self._failed.get(version.digest, (float("-inf"), None))
        if error is not None and self._clock() - failed_at < REFUSE_SECONDS:
            raise _again(error)
        hold = self._holds.setdefault(version.digest, _Hold())
        hold.num_users += 1
        try:
            if hold.kept is None:
                await self._loads.run(version.digest, lambda: self._load(version, hold))
            yield
        finally:
            hold.num_users -= 1
            self._let_go_if_unused(version, hold)

    async def _load(self, version: AdapterVersion, hold: _Hold) -> None:
        """Fetch and load off the event loop; a waiter that gives up does not stop it."""
        async with self._turns:
            began = self._clock()
            try:
                hold.kept = await asyncio.to_thread(self._enter, version)
            except BaseException as error:
                del self._holds[version.digest]
                if isinstance(error, LorayError):
                    self._failed[version.digest] = (self._clock(), error)
                    logger.warning("adapter %s cannot be loaded: %s", version.ref, error)
                raise
        self._failed.pop(version.digest, None)
        logger.info("loaded adapter %s in %.3f s", version.ref, self._clock() - began)
        self._let_go_if_unused(version, hold)

    def _enter(self, version: AdapterVersion) -> ExitStack:
        with ExitStack() as stack:
            stack.enter_context(self._memory.holding(version.digest, self._folder(version)))
            return stack.pop_all()

    def _let_go_if_unused(self, version: AdapterVersion, hold: _Hold) -> None:
        if hold.num_users == 0 and hold.kept is not None:
            del self._holds[version.digest]
            hold.kept.close()


def _again(error: LorayError) -> LorayError:
    """A new exception for each request, caused by the first; one object would grow a traceback."""
    again = copy(error).with_traceback(None)
    again.__cause__, again.__context__ = error, None
    return again
