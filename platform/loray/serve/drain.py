"""How a server stops: no newcomers, then what is in flight ends, by itself or with an error."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from loray.serve.messages import Refused
from loray.serve.refusals import RefusedError, unavailable

POLL_SECONDS = 0.05
FAREWELL_SECONDS = 2.0
"""For the last words to those who are cut off."""


def stopping() -> Refused:
    """A 503 with `retry-after`, or the last event of a stream: another server may answer."""
    return unavailable("the server is stopping; try again")


class Drain:
    """Knows every request in flight; lives in the ingress' event loop."""

    def __init__(self) -> None:
        self.is_stopping = False
        """Newcomers are refused."""
        self.is_over = False
        """Those that are still in flight are being cut off."""
        self._running: set[asyncio.Timeout] = set()

    @property
    def num_in_flight(self) -> int:
        """Requests that have begun and are not over."""
        return len(self._running)

    def refuse_newcomers(self) -> None:
        """Called for each request that begins.

        Raises:
            RefusedError: the server is stopping.
        """
        if self.is_stopping:
            raise RefusedError(stopping())

    @contextmanager
    def in_flight(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Count a request; moving `limit` to now ends it."""
        self._running.add(limit)
        try:
            yield
        finally:
            self._running.discard(limit)

    async def stop(self, seconds: float) -> tuple[int, int]:
        """Refuse newcomers, and wait for requests in flight; what is left after that is cut off.

        Returns:
            how many were in flight, and how many of them were cut off.
        """
        self.is_stopping = True
        begun, now = len(self._running), asyncio.get_running_loop().time
        end = now() + seconds
        while self._running and now() < end:
            await asyncio.sleep(POLL_SECONDS)
        self.is_over, left = True, list(self._running)
        for limit in left:
            with suppress(RuntimeError):  # its time is up anyway, and it is taking leave
                limit.reschedule(now())
        farewell = now() + FAREWELL_SECONDS
        while self._running and now() < farewell:
            await asyncio.sleep(POLL_SECONDS)
        return begun, len(left)
