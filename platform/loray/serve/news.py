"""An engine's events on their way from its thread to the event loop, several handed out as one."""

import asyncio
import time

from loray.inference import Event

TOKENS_PER_PIECE = 8
SECONDS_PER_PIECE = 0.01


class News:
    """The events of one request."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self.has_ended = False

    def post(self, event: Event) -> None:
        """Called from the engine's thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    async def next(self) -> Event:
        """The next event, with those that come soon after it."""
        event = await self._queue.get()
        until = time.monotonic() + SECONDS_PER_PIECE
        while event.finish_reason is None and len(event.token_ids) < TOKENS_PER_PIECE:
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    more = await self._queue.get()
            except TimeoutError:
                break
            event = Event(
                event.request_id,
                event.token_ids + more.token_ids,
                event.entropies + more.entropies,
                more.finish_reason,
                more.error,
            )
        self.has_ended = event.finish_reason is not None
        return event
