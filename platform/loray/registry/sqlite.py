"""SQLite files: where one may lie, and how it is opened for writing, for reading, and for nobody.

A reader never makes a file: a registry that was deleted must not come back empty.
"""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL

from loray.errors import SpecError
from loray.registry.private import private_file

BUSY_TIMEOUT_SECONDS = 30
NETWORK_FILESYSTEMS = frozenset({
    "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "glusterfs",
    "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs",
})  # fmt: skip
_CANNOT_OPEN_LOG = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)


def sqlite_path(url: URL) -> Path:
    """The file that a URL names, which must lie on a disk of this host.

    Raises:
        SpecError: it lies on a network file system.
    """
    path = Path(url.database or "").absolute()
    kind = filesystem_kind(path.parent)
    if kind in NETWORK_FILESYSTEMS:
        raise SpecError(
            f"{path} lies on {kind}, where SQLite's write-ahead log is not safe; "
            "use a local disk, or PostgreSQL for a team: postgresql://host/database"
        )
    return path


def filesystem_kind(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that `folder` lies on; empty where the system does not tell."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    resolved = folder.resolve()
    found = [line.split(" ") for line in lines]
    under = [f for f in found if len(f) > 2 and resolved.is_relative_to(_unescape(f[1]))]
    return max(under, key=lambda fields: len(fields[1]), default=["", "", ""])[2]


def _unescape(mount: str) -> str:
    return mount.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def writer_engine(path: Path) -> sa.Engine:
    """An engine that makes the file, for its owner alone, if it is missing.

    The engines keep no connection between transactions: none can leak through a fork.
    """

    def connect() -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        private_file(path)  # the log and its index get the file's mode
        return _prepared(sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS), is_writer=True)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
    sa.event.listen(engine, "begin", _begin_to_write)
    return engine


def reader_engine(path: Path) -> sa.Engine:
    """An engine that writes nothing, and reads what lies on a read-only disk, too."""
    engine = sa.create_engine("sqlite://", creator=lambda: _reader(path), poolclass=sa.NullPool)
    sa.event.listen(engine, "begin", _begin_to_read)
    return engine


def _begin_to_write(connection: sa.Connection) -> None:
    """Take the write lock at once: a transaction that reads first could fail when it writes."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_to_read(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def empty_engine() -> sa.Engine:
    """An engine over an empty database in memory, one for all threads."""
    return sa.create_engine(
        "sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False}
    )


def _reader(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS)
    try:
        return _prepared(connection, is_writer=False)
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in _CANNOT_OPEN_LOG or not _is_still(path):
            raise
    # The log's index can be neither read nor made here, and there is no log: nobody writes.
    return _prepared(sqlite3.connect(f"{uri}&immutable=1", uri=True), is_writer=False)


def _is_still(path: Path) -> bool:
    """Whether there is a file that may be read, with no log beside it."""
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    return path.is_file() and os.access(path, os.R_OK) and not has_log


def _prepared(connection: sqlite3.Connection, *, is_writer: bool) -> sqlite3.Connection:
    connection.isolation_level = None  # the driver begins no transaction of its own
    cursor = connection.cursor()
    try:
        if is_writer and cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    cursor.close()
    return connection
