"""A registry's database together with its storage root: no use of one without a look at the other.

Every reading checks that the two belong together, every change checks it again within its own
transaction, and then records its events under the root.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from loray.errors import RegistryError, RegistryMismatchError
from loray.registry.blobs import Blobs
from loray.registry.database import Database
from loray.registry.event_files import (
    Recorded,
    all_recorded,
    check_known,
    last_recorded,
    mark_newest,
    unrecorded,
    write_records,
)
from loray.registry.identity import (
    check_together,
    give_identity,
    new_identity,
    read_root_identity,
    write_root_identity,
)
from loray.registry.root_files import RootFiles
from loray.registry.storage_failures import explaining_storage_failures

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What the root says of itself."""

    identity: str | None
    recorded: Recorded


class TiedDatabase:
    """A `Database` that is used only while it and a storage root belong together."""

    def __init__(self, database: Database, files: RootFiles, blobs: Blobs) -> None:
        self.database = database
        self.files = files
        self.blobs = blobs
        self._checked: Look | None = None
        """The root of an earlier reading, when it was tied; roots do not change their identity."""

    @property
    def url(self) -> str:
        """The database's, without any password."""
        return self.database.url

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """As `Database.read`.

        Raises:
            RegistryMismatchError: the database and the root do not belong together.
        """
        if self._checked is not None:
            checked = partial(self._within, look=self._checked, work=work, is_new=False)
            return self.database.read(checked)
        look = self._look()
        try:
            found = self.database.read(partial(self._within, look=look, work=work, is_new=True))
        except RegistryMismatchError:
            if look.identity is not None or not self.is_tied():
                raise
            return self.read(work)  # it was tied, by another's first write, since we looked
        self._checked = look if look.identity else None
        return found

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """As `Database.write`; the first write ties the database to the root.

        Raises:
            RegistryMismatchError: the database and the root do not belong together.
        """
        look = self._tied()
        within = partial(self._within, look=look, work=work, is_new=True)
        done = self.database.write(within, may_create=False)
        self._record(look.recorded)
        return done

    def prepare(self) -> None:
        """Tie the database to the root if it is not yet, or check that they belong together.

        Raises:
            RegistryMismatchError: they do not.
        """
        look = self._tied()
        self.database.read(partial(self._within, look=look, work=lambda _: None, is_new=True))

    def check_again(self) -> None:
        """Look at the root afresh, as when something is missing there that should not be.

        Raises:
            RegistryMismatchError: it is not the root that it was.
        """
        self._checked = None
        self.read(lambda _: None)

    def is_tied(self) -> bool:
        """Whether the root has an identity, which every use checks against the database's."""
        with explaining_storage_failures():
            return read_root_identity(self.files) is not None

    def tie(self) -> int:
        """Tie the database to the root if it is not yet, and record every event that is not.

        Returns:
            How many events were recorded.

        Raises:
            RegistryMismatchError: they do not belong together, or the root has events that the
                database does not know.
        """
        self.write(lambda _: None)
        return self.record_all()

    def record_all(self) -> int:
        """Record every event that is not; how many there were.

        Raises:
            RegistryMismatchError: the root has events that the database does not know.
        """
        recorded = self.require_all_known()
        missing = self.read(partial(unrecorded, recorded=recorded))
        with explaining_storage_failures():
            write_records(self.files, missing)
            mark_newest(self.files, recorded.names)
        return len(missing)

    def require_all_known(self) -> Recorded:
        """Every event that the root recorded, each of which the database knows.

        Raises:
            RegistryMismatchError: there is one that it does not know, or the two are not tied.
        """
        with explaining_storage_failures():
            identity, recorded = read_root_identity(self.files), all_recorded(self.files)
        self.read(partial(check_known, recorded=recorded, files=self.files, url=self.url))
        if identity is None:
            raise RegistryMismatchError(
                f"the storage root {self.files.place} has no identity yet, so nothing proves that "
                f"the database {self.url} is its own; `loray registry fsck --repair` ties them"
            )
        return recorded

    def _look(self) -> Look:
        with explaining_storage_failures():  # before the database is asked: see `check_known`
            return Look(read_root_identity(self.files), last_recorded(self.files))

    def _within(
        self,
        connection: sa.Connection,
        look: Look,
        work: Callable[[sa.Connection], T],
        *,
        is_new: bool,
    ) -> T:
        check_together(connection, look.identity, self.files, self.blobs, self.url)
        if is_new:
            check_known(connection, look.recorded, self.files, self.url)
        return work(connection)

    def _tied(self) -> Look:
        """A look at the root, with an identity."""
        look = self._look()
        if look.identity is not None:
            return look
        self.read(lambda _: None)  # the two belong together, or it raises
        identity = self.database.write(lambda c: give_identity(c, new_identity()))
        with explaining_storage_failures():
            write_root_identity(self.files, identity, self.url)
        logger.info("%s and %s are registry %s", self.url, self.files.place, identity[:8])
        return Look(identity, Recorded(look.recorded.names, 0))

    def _record(self, recorded: Recorded) -> None:
        """Record what was committed; a failure is logged, for the change stands."""
        try:
            with explaining_storage_failures():
                missing = self.database.read(partial(unrecorded, recorded=recorded))
                write_records(self.files, missing)
        except RegistryError as error:
            logger.warning(
                "the change is made, and %s has no record of it yet (%s); the next change or "
                "`loray registry fsck` writes it", self.files.place, error,
            )  # fmt: skip
