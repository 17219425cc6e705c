"""What can be asked of a registry: its adapters, versions, aliases, log, and lineages."""

from functools import partial

from loray.registry import lookup
from loray.registry.aliases import read_alias
from loray.registry.events import read_events
from loray.registry.names import check_alias, check_name
from loray.registry.records import Adapter, Alias, Event, Version
from loray.registry.tied import TiedDatabase
from loray.registry.versions import read_versions


class Queries:
    """Questions to a registry, each answered from one snapshot of its database."""

    def __init__(self, database: TiedDatabase) -> None:
        self._database = database

    def resolve(self, ref: str) -> Version:
        """The version that `name`, `name@3` or `name@alias` stands for; a bare name's is champion.

        Raises:
            NameRefusedError: it is not a reference.
            AdapterNotFoundError: there is no such version or alias.
        """
        return self._database.read(partial(lookup.resolve, ref=ref))

    def alias(self, name: str, alias: str) -> Alias:
        """An alias as it is now; generation 0 and no version when it was never set."""
        look = partial(read_alias, name=check_name(name), alias_name=check_alias(alias))
        return self._database.read(look)

    def adapters(self) -> tuple[Adapter, ...]:
        """Every adapter with its aliases, by name."""
        return self._database.read(lookup.read_adapters)

    def versions(self, name: str | None = None) -> tuple[Version, ...]:
        """Every version of an adapter, oldest first, or of all adapters, by name."""
        if name is not None:
            check_name(name)
        return self._database.read(partial(read_versions, name=name))

    def events(self, name: str | None = None, *, after: int = 0) -> tuple[Event, ...]:
        """The log above the id `after`, oldest first, of one adapter or of all."""
        if name is not None:
            check_name(name)
        return self._database.read(partial(read_events, name=name, after=after))

    def lineage(self, ref: str) -> tuple[Version, ...]:
        """A version, then everything it was made from, each once, nearest first.

        Raises:
            NameRefusedError: it is not a reference.
            AdapterNotFoundError: there is no such version or alias.
        """
        return self._database.read(partial(lookup.trace, ref=ref))
