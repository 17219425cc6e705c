"""The registry as a server sees it: the adapters of one base model, by every name they go by."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from loray.errors import AdapterError, AdapterNotFoundError
from loray.models.identity import base_digest, revision_digest
from loray.registry import Registry, Version
from loray.serve.catalog import AdapterVersion
from loray.spec.run import RunSpec

SERVABLE = ("registered", "evaluated", "promotable")
"""States of versions that may be asked for by number; an alias names promotable ones."""


class RegistryCatalog:
    """A `Catalog` over a registry; pickles, so that every replica opens its own connection."""

    def __init__(
        self, registry: Registry, *, base: str, alias: str, former: str | None = None
    ) -> None:
        """Serve what was trained on one base.

        Args:
            base: digest of the served base model; adapters of another one do not exist here.
            alias: what a bare adapter name stands for.
            former: another digest that the same base may be registered under.
        """
        self._registry = registry
        self._bases = frozenset({base, *([former] if former else [])})
        self._alias = alias

    def resolve(self, ref: str) -> AdapterVersion:
        """The version that `ref` names now.

        Raises:
            AdapterNotFoundError: there is none, it is out of use, or it is for another base.
        """
        version = self._registry.resolve(ref if "@" in ref else f"{ref}@{self._alias}")
        if version.state not in SERVABLE or version.lineage.base_digest not in self._bases:
            raise AdapterNotFoundError(f"no adapter {ref!r} over this base model")
        return _served(version)

    def listing(self) -> Sequence[tuple[str, AdapterVersion]]:
        """Every reference that a client may use: names, aliases and numbers."""
        found: list[tuple[str, AdapterVersion]] = []
        named: dict[str, dict[int, AdapterVersion]] = defaultdict(dict)
        adapters = self._registry.adapters()
        for version in self._registry.versions():
            if version.state in SERVABLE and version.lineage.base_digest in self._bases:
                named[version.name][version.number] = _served(version)
        for adapter in adapters:
            versions = named[adapter.name]
            aliases = {a: n for a, n in sorted(adapter.aliases.items()) if n in versions}
            if self._alias in aliases:
                found.append((adapter.name, versions[aliases[self._alias]]))
            found += [(f"{adapter.name}@{a}", versions[n]) for a, n in aliases.items()]
            found += [(version.ref, version) for version in versions.values()]
        return found

    def folder(self, version: AdapterVersion) -> Path:
        """A local folder with the version's verified files.

        Raises:
            AdapterError: a file is missing or damaged, or this replica sees another registry.
            RegistryError: it was withdrawn, or the database does not answer.
        """
        found = self._registry.resolve(version.ref)
        if found.digest != version.digest:
            raise AdapterError(
                f"{version.ref} is {found.digest[:12]} in the registry that this replica sees, "
                f"wanted {version.digest[:12]}; give all replicas the same registry"
            )
        return self._registry.fetch(found)


def catalog_of(spec: RunSpec) -> RegistryCatalog:
    """The catalog of a spec's registry and base model.

    Raises:
        RegistryError: the registry cannot be read, or its database and root do not belong together.
    """
    registry = Registry(spec.storage.registry, spec.storage.root)
    registry.adapters()  # fail at the start, not at the first request
    return RegistryCatalog(
        registry,
        base=base_digest(spec.base_model.path, spec.base_model.revision),
        former=revision_digest(spec.base_model.path, spec.base_model.revision),
        alias=spec.serve.alias,
    )


def _served(version: Version) -> AdapterVersion:
    return AdapterVersion(
        name=version.name,
        version=version.number,
        digest=version.digest,
        created=int(datetime.fromisoformat(version.created).timestamp()),
    )
