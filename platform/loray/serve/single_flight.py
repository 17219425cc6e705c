"""One task for all who want the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs one coroutine per key at a time; who comes meanwhile waits for the same result.

    A waiter that is cancelled leaves the work running for the others.
    """

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work()`, or of the run for `key` that is already under way."""
        return await asyncio.shield(self.start(key, work))

    def start(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The task of `work()`, or the one for `key` that is already under way.

        Whoever waits for it must not cancel it: others wait for it too.
        """
        task = self._running.get(key)
        if task is None or task.done():  # done, and about to be forgotten: its result is old
            task = asyncio.create_task(work())
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return task

    def is_running(self, key: str) -> bool:
        """Whether work for `key` is under way."""
        task = self._running.get(key)
        return task is not None and not task.done()

    def _forget(self, key: str, task: asyncio.Task[T]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio complains when every waiter has gone
