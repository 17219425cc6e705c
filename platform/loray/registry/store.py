"""The registry: immutable versions of adapters, and aliases that move between them.

Files go into blobs first, named by their SHA-256; then a manifest that lists them; then one
transaction writes the version's row. A crash before it leaves blobs that nobody refers to, a crash
after it leaves a whole version.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from loray.errors import AdapterError
from loray.models.adapter_import import ImportTerms
from loray.registry import audit, exchange, lookup
from loray.registry.aliases import Move, check_adapter, move_alias, previous_version
from loray.registry.blobs import Blobs, open_blobs, scratch_folder
from loray.registry.commit import commit
from loray.registry.database import Database
from loray.registry.events import new_operation
from loray.registry.exchange import Layout
from loray.registry.imports import base_on_disk, import_adapter
from loray.registry.ledger import Lease
from loray.registry.names import CHAMPION, check_alias, check_key, check_name
from loray.registry.queries import Queries
from loray.registry.records import (
    Alias,
    Fault,
    Lineage,
    Scores,
    State,
    Sweep,
    Version,
)
from loray.registry.root_files import open_root_files
from loray.registry.storage_failures import explaining_storage_failures
from loray.registry.tied import TiedDatabase
from loray.registry.versions import NewVersion, change_state

logger = logging.getLogger(__name__)


class Registry(Queries):
    """Adapters in one database and one storage root; cheap to open, safe to share and to pickle."""

    def __init__(self, url: str, root: str) -> None:
        """Look at the registry; the first write makes its tables and folders and ties them.

        Args:
            url: `sqlite:///path/registry.db` or `postgresql://host/database`, no credentials.
            root: the storage root, a local folder or `s3://bucket/prefix`.

        Raises:
            SpecError: the URL or the root is of another kind, or holds credentials.
            RegistryError: the database cannot be reached or is of an unknown schema.
        """
        self.root = root if "://" in root else str(Path(root).absolute())
        with explaining_storage_failures():
            self._blobs = open_blobs(self.root)
            files = open_root_files(self.root)
        super().__init__(TiedDatabase(Database(url), files, self._blobs))

    def __reduce__(self) -> tuple[type["Registry"], tuple[str, str]]:
        return Registry, (self._database.url, self.root)

    def check_writable(self) -> None:
        """Whether a version could be registered now; ties the database to the root if need be.

        Raises:
            RegistryError: it could not, and why.
        """
        self._database.prepare()
        with scratch_folder(self._blobs):
            self._database.write(lambda _: None)

    def register(
        self,
        name: str,
        folder: Path,
        *,
        idempotency_key: str,
        lineage: Lineage,
        scores: Scores,
        lease: Lease | None = None,
    ) -> Version:
        """Add the adapter in `folder` as the next version of `name`, in state `registered`.

        Args:
            idempotency_key: the same key makes the same version, however often it is tried.
            lease: refuse, within the transaction, when it is no longer held.

        Raises:
            NameRefusedError: the name or the key is of a form that the registry cannot hold.
            AdapterError: the folder is not what an adapter may be.
            LeaseError: another attempt has taken over.
            RegistryError: the key was used for another adapter, or a parent does not exist.
        """
        check_name(name)
        check_key(idempotency_key)
        return self.add(
            lambda blobs: exchange.take_in(blobs, name, folder, idempotency_key, lineage, scores),
            lease=lease,
        )

    def add(self, take_in: Callable[[Blobs], NewVersion], *, lease: Lease | None = None) -> Version:
        """Commit what `take_in` puts into blobs; it is called again when a sweep came between.

        Raises:
            LeaseError: another attempt has taken over.
            RegistryError: the key was used for another adapter, or a parent does not exist.
        """
        with explaining_storage_failures():
            return commit(self._database, self._blobs, take_in, lease)

    def import_folder(
        self,
        name: str,
        folder: Path,
        *,
        base_model: str,
        base_digest: str,
        idempotency_key: str | None = None,
    ) -> Version:
        """Add an adapter that PEFT saved elsewhere, in state `registered`, after the closed check.

        Its modules are compared with the base's where that is on this disk.

        Args:
            base_model: what the adapter's config names; its word is not taken for it.
            base_digest: SHA-256 over the files of the base model that it was trained on.
            idempotency_key: made from the adapter's content when not given.

        Raises:
            AdapterError: the folder is not what an adapter may be, or names another base model.
            NameRefusedError: the name is of a form that the registry cannot hold.
        """
        lineage = Lineage(base_model=base_model, base_digest=base_digest)
        terms = ImportTerms(base_model=base_model, base=base_on_disk(base_model, base_digest))
        return import_adapter(
            self.add, name, folder, lineage=lineage, terms=terms, idempotency_key=idempotency_key
        ).version

    def set_state(
        self, version: Version, state: State, *, reason: str = "", who: str | None = None
    ) -> Version:
        """Move a version along `registered -> evaluated -> promotable`, or out of use.

        Asking for the state that it is in changes nothing.

        Raises:
            RegistryError: no such step, or an alias names a version that is to go out of use.
        """
        change = partial(
            change_state, known=version, state=state, operation=new_operation(),
            who=who, reason=reason,
        )  # fmt: skip
        return self._database.write(change)

    def fetch(self, version: Version) -> Path:
        """A local folder in PEFT's layout with the version's files, every byte verified now.

        Raises:
            RegistryError: the version was withdrawn.
            AdapterError: a file is missing or damaged.
        """
        self._database.read(partial(lookup.check_in_use, version=version))
        with self._reading_files():
            return exchange.fetch(self._blobs, version)

    def export(self, ref: str, folder: Path, *, layout: Layout = "peft") -> Path:
        """Write a version where plain PEFT, vLLM or Ray Serve LLM reads it; the adapter's folder.

        Args:
            layout: `peft` writes into `folder` itself; `ray-serve-llm` into a folder within it,
                named as Ray looks for it when a client asks for the model `{base}:{name}:{number}`.

        Raises:
            RegistryError: the place is taken, or the version was withdrawn.
            AdapterNotFoundError: there is no such version.
            AdapterError: a file is missing or damaged.
        """
        version = self.resolve(ref)
        self._database.read(partial(lookup.check_in_use, version=version))
        with self._reading_files():
            return exchange.export(self._blobs, version, folder, layout)

    def move_alias(
        self,
        name: str,
        alias: str,
        to: int | None,
        *,
        expected_generation: int,
        reason: str = "",
        who: str | None = None,
    ) -> Alias:
        """Point an alias at version number `to`, or take it away (None), by compare-and-swap.

        Args:
            expected_generation: that of the alias when the decision was made; 0 for a new one.

        Raises:
            AliasMovedError: it has moved since; the message names where it is now.
            RegistryError: the version is out of use, or not promotable and alias is champion.
            AdapterNotFoundError: there is no such version.
        """
        move = Move(check_name(name), check_alias(alias), to, expected_generation)
        return self._move(replace(move, reason=reason, who=who))

    def promote(
        self,
        version: Version,
        alias: str = CHAMPION,
        *,
        expected_generation: int | None = None,
        allow_older: bool = False,
        reason: str = "",
        who: str | None = None,
    ) -> Alias:
        """Point an alias at a version that passed its gates.

        Args:
            expected_generation: as in `move_alias`; read at the start of the call when not given.
            allow_older: also where the alias names a newer version.

        Raises:
            RegistryError: the version is not promotable, or older; the message says what to do.
            AliasMovedError: another promotion won.
        """
        if expected_generation is None:
            expected_generation = self.alias(version.name, alias).generation
        move = Move(version.name, check_alias(alias), version.number, expected_generation)
        move = replace(move, needs_promotable=True, needs_newer=not allow_older)
        return self._move(replace(move, reason=reason, who=who))

    def rollback(
        self, name: str, alias: str = CHAMPION, *, reason: str = "", who: str | None = None
    ) -> Alias:
        """Point an alias back at the version that it named before and that is still in use.

        Raises:
            AdapterNotFoundError: there is no such adapter.
            RegistryError: there is no such version.
            AliasMovedError: someone moved the alias at the same moment.
        """
        self._database.read(partial(check_adapter, name=check_name(name)))
        seen = self.alias(name, alias)
        back = self._database.read(partial(previous_version, name=name, alias_name=alias))
        move = Move(name, alias, back, seen.generation, kind="rollback")
        return self._move(replace(move, reason=reason, who=who))

    def fsck(self, *, repair: bool = False) -> tuple[Fault, ...]:
        """Everything wrong in database and blobs; reads every byte. See `audit.find_faults`."""
        with explaining_storage_failures():
            return audit.find_faults(self._database, self._blobs, repair=repair)

    def gc(
        self,
        *,
        dry_run: bool = True,
        grace_seconds: float = 86_400.0,
        only: Collection[str] | None = None,
    ) -> Sweep:
        """Delete what no version needs and is older than the grace. See `audit.sweep`."""
        sweep = partial(audit.sweep, self._database, self._blobs, dry_run=dry_run, only=only)
        with explaining_storage_failures():
            return sweep(grace_seconds=grace_seconds)

    @contextmanager
    def _reading_files(self) -> Iterator[None]:
        """Before files are called damaged, look whether the root is still the registry's."""
        with explaining_storage_failures():
            try:
                yield
            except AdapterError:
                self._database.check_again()
                raise

    def _move(self, move: Move) -> Alias:
        self._database.read(partial(check_adapter, name=move.name))  # before a registry is made
        moved = self._database.write(partial(move_alias, move=move))
        logger.info("%s@%s names version %s", moved.name, moved.alias, moved.version)
        return moved
