"""Stop working for a client that is gone."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import Receive


async def until_disconnect(receive: "Receive", work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` to its end, or cancel it as soon as the client hangs up.

    The body must have been read before. Servers differ in what they do by themselves when a client
    goes (Ray's proxy can be told by a header to do nothing), so nothing is left to them.

    Returns:
        whether `work` came to its end.
    """
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_hung_up(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        await _cancel(working)
        await _cancel(watching)


async def _hung_up(receive: "Receive") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: "asyncio.Task[None]") -> None:
    """Cancel `task` and wait until it has cleaned up; what it raised is of no use any more."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    elif not task.cancelled():
        task.exception()
