"""A catalog's answers, kept and refreshed so that a registry that hangs costs a request nothing.

Stale-while-revalidate: an old answer is asked for again, and waited for only briefly. Once the
catalog was slow or failed, nobody waits for what is known already, until it answers again.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from loray.errors import AdapterNotFoundError, LorayError, NameRefusedError, RegistryError
from loray.serve.catalog import AdapterVersion, Catalog
from loray.serve.single_flight import SingleFlight

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""How long a moved alias may go unseen while the registry answers."""
PATIENCE_SECONDS = 0.2
"""How long a request waits for a newer answer than the one it has."""
ANSWER_SECONDS = 3.0
"""How long a request waits for an answer where none is known."""
MAX_BACK_OFF_SECONDS = 30.0
QUESTIONS_AT_ONCE = 4
"""Threads that wait for the catalog; none of them is one that serves requests."""
MAX_WAITING = 64
"""Questions about unknown names that may be under way; the next is refused at once."""
MAX_REMEMBERED = 4096

Listing: TypeAlias = Sequence[tuple[str, AdapterVersion]]
T = TypeVar("T")


@dataclass(frozen=True)
class _Answer(Generic[T]):
    """What the catalog said, and when (seconds of the clock, after it had answered)."""

    at: float
    value: T


class RecentCatalog:
    """A catalog that is asked at most once a second for each reference, off the event loop."""

    def __init__(self, catalog: Catalog, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: OrderedDict[str, _Answer[AdapterVersion | None]] = OrderedDict()
        self._listed: _Answer[Listing] | None = None
        self._resolving: SingleFlight[AdapterVersion | None] = SingleFlight()
        self._listing: SingleFlight[Listing] = SingleFlight()
        self._link = _Link(clock)

    async def resolve(self, ref: str) -> AdapterVersion | None:
        """What `ref` names; None when it names nothing.

        Raises:
            LorayError: the catalog does not answer, and neither its last answer for `ref` nor
                its last listing names a version.
        """
        last = self._known.get(ref)
        if last is not None and self._clock() - last.at < FRESH_SECONDS:
            return last.value
        known = self._last_known(ref)
        return await self._link.newest(self._resolving, ref, known, lambda: self._ask(ref))

    async def listing(self) -> Listing:
        """As `Catalog.listing`; at most a second old while the catalog answers.

        Raises:
            LorayError: the catalog does not answer and never listed anything.
        """
        last = self._listed
        if last is not None and self._clock() - last.at < FRESH_SECONDS:
            return last.value
        return await self._link.newest(self._listing, "", last, self._list)

    def _last_known(self, ref: str) -> _Answer[AdapterVersion | None] | None:
        """What `ref` last named, by its own answer or a later listing; None if it names nothing."""
        last, listed = self._known.get(ref), self._listed
        if listed is not None and (last is None or last.at < listed.at):
            last = _Answer(listed.at, dict(listed.value).get(ref))
        return None if last is None or last.value is None else last

    async def _list(self) -> Listing:
        listed = await self._link.ask(self._catalog.listing)
        self._listed = _Answer(self._clock(), listed)
        return listed

    async def _ask(self, ref: str) -> AdapterVersion | None:
        version: AdapterVersion | None
        try:
            version = await self._link.ask(lambda: self._catalog.resolve(ref))
        except (AdapterNotFoundError, NameRefusedError):
            version = None
        self._remember(ref, version)
        return version

    def _remember(self, ref: str, version: AdapterVersion | None) -> None:
        """Keep the answer; a flood of made-up names pushes out the oldest, never grows memory."""
        self._known[ref] = _Answer(self._clock(), version)
        self._known.move_to_end(ref)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)


class _Link:
    """Whether the catalog answers, and how long a request may wait for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(QUESTIONS_AT_ONCE, thread_name_prefix="catalog")
        self._num_asking = 0
        self._num_failures = 0
        self._retry_at = float("-inf")
        self._is_slow = False
        self._cause = ""

    async def newest(
        self,
        flight: SingleFlight[T],
        key: str,
        last: _Answer[T] | None,
        ask: Callable[[], Coroutine[Any, Any, T]],
    ) -> T:
        """The answer of `ask`, or `last` where that takes too long or fails.

        Raises:
            LorayError: there is no `last`, and the catalog fails or does not answer in time.
        """
        is_closed = self._clock() < self._retry_at
        is_full = self._num_asking >= (MAX_WAITING if last is None else QUESTIONS_AT_ONCE)
        if is_closed or (is_full and not flight.is_running(key)):
            return self._settled(last)
        task = flight.start(key, ask)
        patience = ANSWER_SECONDS if last is None else PATIENCE_SECONDS
        if last is not None and self._is_slow:
            return last.value
        done, _ = await asyncio.wait({task}, timeout=patience)
        if not done:
            self._note_slow(patience)
            return self._settled(last)
        try:
            return task.result()
        except LorayError:
            if last is None:
                raise
            return last.value

    async def ask(self, question: Callable[[], T]) -> T:
        """The catalog's answer, from a thread; notes whether there was one."""
        self._num_asking += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, question)
        except (AdapterNotFoundError, NameRefusedError):
            self._note_answer()
            raise
        except Exception as error:
            self._note_failure(error)
            if isinstance(error, LorayError):
                raise
            raise RegistryError(f"the registry cannot be asked: {error!r}") from error
        finally:
            self._num_asking -= 1
        self._note_answer()
        return answer

    def _settled(self, last: _Answer[T] | None) -> T:
        if last is not None:
            return last.value
        raise RegistryError(f"the registry does not answer ({self._cause or 'it is slow'})")

    def _note_answer(self) -> None:
        if self._num_failures or self._is_slow:
            logger.warning("the registry answers again")
        self._num_failures, self._retry_at, self._is_slow = 0, float("-inf"), False

    def _note_slow(self, seconds: float) -> None:
        if not self._is_slow:
            self._cause = f"no answer within {seconds:g} s"
            logger.warning("the registry is slow: %s; known answers are served", self._cause)
        self._is_slow = True

    def _note_failure(self, error: Exception) -> None:
        """Nobody asks again before the back-off is over: 1, 2, 4 ... seconds.

        Questions that were under way at the same time and fail, too, make it no longer.
        """
        self._cause = str(error)
        if self._clock() < self._retry_at:
            return
        seconds = min(FRESH_SECONDS * 2.0 ** min(self._num_failures, 10), MAX_BACK_OFF_SECONDS)
        self._num_failures += 1
        self._retry_at = self._clock() + seconds
        self._is_slow = True
        logger.warning("the registry cannot be asked, next in %g s: %s", seconds, error)
