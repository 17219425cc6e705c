"""From blobs to a committed version; a sweep in between is answered by putting the blobs again."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loray.registry.blobs import Blobs
from loray.registry.events import new_operation
from loray.registry.ledger import Lease
from loray.registry.records import Version
from loray.registry.tied import TiedDatabase
from loray.registry.versions import BlobsSweptError, NewVersion, add_version

_PUT_TRIES = 3

logger = logging.getLogger(__name__)


class TyingBlobs:
    """Blobs that are put only after the database was tied to their root, or found to be its own.

    So an adapter that is refused leaves no new registry behind.
    """

    def __init__(self, blobs: Blobs, database: TiedDatabase) -> None:
        self.scratch = blobs.scratch
        self.open, self.has = blobs.open, blobs.has
        self.entries, self.delete = blobs.entries, blobs.delete
        self._put = blobs.put
        self._database = database
        self._is_tied = False

    def put(self, source: Path, digest: str) -> None:
        """Make the bytes of `source`, whose digest is known, a blob; `source` may be moved.

        Raises:
            RegistryMismatchError: the root is another database's.
        """
        if not self._is_tied:
            self._database.prepare()
            self._is_tied = True
        self._put(source, digest)


def commit(
    database: TiedDatabase,
    blobs: Blobs,
    take_in: Callable[[Blobs], NewVersion],
    lease: Lease | None,
) -> Version:
    """Commit what `take_in` puts into `blobs`, under the next number of its name.

    Raises:
        LeaseError: the lease is no longer held.
        RegistryError: the key was used for another adapter, or a parent does not exist.
        BlobsSweptError: sweeps came between every time.
    """
    database.read(lambda _: None)  # refuse a root that is another's before anything is read
    tied = TyingBlobs(blobs, database)
    fence = lease.check_within if lease else None
    operation, tries_left = new_operation(), _PUT_TRIES
    while True:
        try:
            new = take_in(tied)
            write = partial(
                add_version, new=new, operation=operation, has_blob=blobs.has, fence=fence
            )
            added = database.write(write)
        except BlobsSweptError:
            tries_left -= 1
            if not tries_left:
                raise
        else:
            logger.info("%s holds adapter %s", added.ref, added.adapter_digest[:12])
            return added
