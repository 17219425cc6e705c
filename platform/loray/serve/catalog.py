"""Which adapter versions may be served; serving knows no registry, it is passed a `Catalog`.

A reference is `name`, `name@3` or `name@alias`. It is resolved at every request, so that a moved
alias is seen; from then on only the version's digest names it, in every cache and every log.
"""

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loray.errors import AdapterNotFoundError, LorayError, NameRefusedError
from loray.serve.single_flight import SingleFlight
from loray.spec.base import NAME_PATTERN

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""How long a moved alias may go unseen."""
MAX_REMEMBERED = 4096
MAX_REFERENCE_CHARS = 64 + 1 + 64

_REFERENCE = re.compile(f"{NAME_PATTERN[1:-1]}(@{NAME_PATTERN[1:-1]})?")


@dataclass(frozen=True)
class AdapterVersion:
    """One immutable version of an adapter."""

    name: str
    version: int
    digest: str
    """64 hex digits over its content: its key in the engine and its id in Ray's router."""
    created: int = 0
    """Seconds since 1970."""

    @property
    def ref(self) -> str:
        """The written identity, `name@3`."""
        return f"{self.name}@{self.version}"


class Catalog(Protocol):
    """Where adapters come from; it travels to replicas, so it must pickle."""

    def resolve(self, ref: str) -> AdapterVersion:
        """The version that `ref` names now.

        Raises:
            AdapterNotFoundError: there is none, or it is not for the served base.
            NameRefusedError: there can be none of that name.
            LorayError: the catalog cannot be asked at present.
        """

    def listing(self) -> Sequence[tuple[str, AdapterVersion]]:
        """Every reference that a client may use, and what it names now."""

    def folder(self, version: AdapterVersion) -> Path:
        """A local folder with the version's verified files, downloaded if need be.

        Raises:
            LorayError: the files cannot be had, or are not what the version says.
        """


def is_reference(text: str) -> bool:
    """Whether `text` has the form of a reference; nothing else reaches a catalog."""
    return _REFERENCE.fullmatch(text) is not None and ".." not in text


class RecentCatalog:
    """A catalog asked at most once a second for each reference, off the event loop.

    When the catalog cannot be asked, what it last said goes on being served: a registry that is
    down stops no traffic.
    """

    def __init__(self, catalog: Catalog, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, AdapterVersion | None]] = OrderedDict()
        self._asking: SingleFlight[AdapterVersion | None] = SingleFlight()
        self._listing: SingleFlight[Sequence[tuple[str, AdapterVersion]]] = SingleFlight()
        self._listed: tuple[float, Sequence[tuple[str, AdapterVersion]]] | None = None

    async def resolve(self, ref: str) -> AdapterVersion | None:
        """What `ref` names; None when it names nothing.

        Raises:
            LorayError: the catalog cannot be asked and never answered for `ref` before.
        """
        at, version = self._known.get(ref, (float("-inf"), None))
        if self._clock() - at < FRESH_SECONDS:
            return version
        return await self._asking.run(ref, lambda: self._ask(ref))

    async def listing(self) -> Sequence[tuple[str, AdapterVersion]]:
        """As `Catalog.listing`, at most a second old.

        Raises:
            LorayError: the catalog cannot be asked and never answered before.
        """
        now = self._clock()
        if self._listed is None or now - self._listed[0] >= FRESH_SECONDS:
            return await self._listing.run("", lambda: self._list(now))
        return self._listed[1]

    async def _list(self, asked: float) -> Sequence[tuple[str, AdapterVersion]]:
        try:
            listed = await asyncio.to_thread(self._catalog.listing)
        except LorayError as error:
            if self._listed is None:
                raise
            logger.warning("catalog cannot be asked (%s); the last listing stays", error)
            listed = self._listed[1]
        self._listed = (asked, listed)
        return listed

    async def _ask(self, ref: str) -> AdapterVersion | None:
        asked = self._clock()
        try:
            version = await asyncio.to_thread(self._catalog.resolve, ref)
        except (AdapterNotFoundError, NameRefusedError):
            self._remember(ref, asked, None)
            return None
        except LorayError as error:
            _, last = self._known.get(ref, (0.0, None))
            if last is None:
                raise
            logger.warning("catalog cannot be asked (%s); %s stays %s", error, ref, last.ref)
            version = last
        self._remember(ref, asked, version)
        return version

    def _remember(self, ref: str, asked: float, version: AdapterVersion | None) -> None:
        """Keep the answer; a flood of made-up names pushes out the oldest, never grows memory."""
        self._known[ref] = (asked, version)
        self._known.move_to_end(ref)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
