"""Who may ask the engines now, who waits for that, and who is turned away.

Ray's router could queue requests, too, but everything that goes through it then waits in that
queue: `/readyz` would fail, and `/v1/stats` hang, for as long as the engines are busy.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TooManyWaitError(Exception):
    """As many wait as may wait."""


class Admission:
    """Places at the engines, given in the order of asking; lives in the ingress' event loop."""

    def __init__(self, places: int, *, most_waiting: int) -> None:
        """Begin with all places free.

        Args:
            places: requests that the engines may have, over all replicas.
            most_waiting: requests that may wait for a place.
        """
        self.num_waiting = 0
        self._free = asyncio.Semaphore(places)
        self._most_waiting = most_waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for as long as the body runs.

        Raises:
            TooManyWaitError: there was none, and too many wait for one.
        """
        if self._free.locked() and self.num_waiting >= self._most_waiting:
            raise TooManyWaitError
        self.num_waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.num_waiting -= 1
        try:
            yield
        finally:
            self._free.release()
