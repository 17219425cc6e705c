"""Which database and which storage root belong together: both hold one random identity.

The root's is the name of the only file under `registry/identity/`. A second file there means that
two databases were given one root; then neither may write.
"""

import json
import re
import uuid
from collections.abc import Iterator

import sqlalchemy as sa
from pydantic import ValidationError

from loray.errors import AdapterError, RegistryMismatchError
from loray.registry.blobs import Blobs, read_bytes
from loray.registry.events import timestamp
from loray.registry.records import VersionManifest
from loray.registry.root_files import RootFiles
from loray.registry.schema import adapter, event, meta, version
from loray.registry.versions import ensure_row

FOLDER = "identity"
MAX_MANIFEST_BYTES = 1 << 20
_KEY = "identity"
_NAME = re.compile(r"([0-9a-f]{32})\.json")
_ENOUGH_VERSIONS = 20
_NAME_THE_RIGHT_ONES = (
    "name the database and the root that belong together (`--url` and `--root`, or `storage` in "
    "the spec)"
)


def new_identity() -> str:
    """32 hex digits that no other registry has."""
    return uuid.uuid4().hex


def read_identity(connection: sa.Connection) -> str | None:
    """The database's identity; None before its first write with a root."""
    return connection.scalar(sa.select(meta.c.value).where(meta.c.key == _KEY))


def give_identity(connection: sa.Connection, identity: str) -> str:
    """The database's identity, which is `identity` when it had none."""
    ensure_row(connection, meta, key=_KEY, value=identity)
    return read_identity(connection) or identity


def read_root_identity(files: RootFiles) -> str | None:
    """The storage root's identity; None before its first write.

    Raises:
        RegistryMismatchError: it has two, or one that is damaged.
    """
    found = [match[1] for match in map(_NAME.fullmatch, files.names(FOLDER)) if match]
    if len(found) > 1:
        shown = ", ".join(f"{files.place}/{FOLDER}/{name}.json" for name in found[:3])
        raise RegistryMismatchError(
            f"{len(found)} databases claim the storage root {files.place} ({shown}); each file "
            "says which database made it: delete those of databases that do not belong to it"
        )
    if not found:
        return None
    key = f"{FOLDER}/{found[0]}.json"
    try:
        is_sound = json.loads(files.read(key) or b"")["identity"] == found[0]
    except (ValueError, TypeError, KeyError):
        is_sound = False
    if not is_sound:
        raise RegistryMismatchError(
            f"{files.place}/{key} is damaged; restore it from a backup, or delete it: the next "
            "write makes it again, if the database's versions have their files there"
        )
    return found[0]


def write_root_identity(files: RootFiles, identity: str, url: str) -> None:
    """Make it the storage root's identity, unless another database did so first.

    Raises:
        RegistryMismatchError: another did; the root keeps what that one wrote.
    """
    note = {"identity": identity, "made": timestamp(), "database": url}
    key = f"{FOLDER}/{identity}.json"
    files.write(key, json.dumps(note, indent=1).encode())
    names = [name for name in files.names(FOLDER) if _NAME.fullmatch(name)]
    if names != [f"{identity}.json"]:
        files.delete(key)
        raise RegistryMismatchError(
            f"another database took the storage root {files.place} at the same moment; "
            + _NAME_THE_RIGHT_ONES
        )


def check_together(
    connection: sa.Connection, root: str | None, files: RootFiles, blobs: Blobs, url: str
) -> None:
    """Whether the database and the storage root belong together.

    They do if their identities are the same. While the root has none (a registry of an older
    loray, or a new one), they do if both are empty, or if versions' manifests are in the root.

    Args:
        root: the root's identity.

    Raises:
        RegistryMismatchError: they do not; the message names both and says what to do.
    """
    own = read_identity(connection)
    if root is not None:
        if own != root:
            raise _mismatch(connection, own, root, files, url)
        return
    digests = list(
        connection.scalars(
            sa.select(version.c.digest).order_by(version.c.created.desc()).limit(_ENOUGH_VERSIONS)
        )
    )
    if digests and not any(files.read(f"sha256/{digest}") for digest in digests):
        raise RegistryMismatchError(
            f"the database {url} holds versions, and the storage root {files.place} holds the "
            f"files of none of them; {_NAME_THE_RIGHT_ONES}, or restore the root from a backup"
        )
    if not digests and (found := next(root_manifests(blobs), None)) is not None:
        raise _emptied(files, url, f"files of {found[1].name} and perhaps others")


def is_empty(connection: sa.Connection) -> bool:
    """Whether the database holds no adapter and no event; it may hold leases."""
    tables = (adapter, event)
    return not any(connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in tables)


def root_manifests(blobs: Blobs) -> Iterator[tuple[str, VersionManifest]]:
    """Every sound manifest among the blobs, with its digest."""
    for entry in blobs.entries():
        if entry.num_bytes <= MAX_MANIFEST_BYTES:
            try:
                yield entry.digest, as_manifest(read_bytes(blobs, entry.digest))
            except (AdapterError, ValidationError):
                continue


def as_manifest(data: bytes) -> VersionManifest:
    """A manifest from a blob's bytes.

    Raises:
        ValidationError: it is not a manifest.
    """
    return VersionManifest.model_validate_json(data)


def _mismatch(
    connection: sa.Connection, own: str | None, root: str, files: RootFiles, url: str
) -> RegistryMismatchError:
    if own is None and is_empty(connection):
        return _emptied(files, url, f"the files of registry {root[:8]}")
    what = "has no identity" if own is None else f"is that of registry {own[:8]}"
    return RegistryMismatchError(
        f"the database {url} {what}, the storage root {files.place} is that of registry "
        f"{root[:8]}: they do not belong together; {_NAME_THE_RIGHT_ONES}"
    )


def _emptied(files: RootFiles, url: str, what: str) -> RegistryMismatchError:
    return RegistryMismatchError(
        f"the database {url} is missing or empty, and the storage root {files.place} holds {what}; "
        f"{_NAME_THE_RIGHT_ONES}; if the database is lost, restore it from a backup (`loray "
        "registry restore FOLDER`) or make it again from the root: `loray registry rebuild`"
    )
