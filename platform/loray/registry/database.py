"""The registry's database: SQLite in a local file by default, PostgreSQL by URL.

Every change is one transaction, and the only commit point. A transaction on a connection that
broke is tried again: each change carries a key by which a second try finds what the first one did.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    OperationalError,
)

from loray.errors import RegistryError, SpecError
from loray.registry.schema import create_tables, read_schema_version

BUSY_TIMEOUT_SECONDS = 30
RETRY_SECONDS = 30
OPEN_SECONDS = 5
NETWORK_FILESYSTEMS = frozenset({
    "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "glusterfs",
    "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs",
})  # fmt: skip

T = TypeVar("T")


class Database:
    """One registry's database; safe to use from threads, after a fork, and once pickled."""

    def __init__(self, url: str) -> None:
        """Open the database, making file and tables where they are missing.

        Raises:
            SpecError: the URL is of another kind, or holds credentials.
            RegistryError: the database cannot be reached, or is of an unknown schema.
        """
        parsed = _parse_url(url)
        self.url = parsed.render_as_string(hide_password=True)
        self._engine = _open_engine(parsed)
        patience = OPEN_SECONDS  # a wrong address should not take long to be told
        if self._run(read_schema_version, is_write=False, retry_seconds=patience) is None:
            self._run(create_tables, is_write=True, retry_seconds=patience)

    def __reduce__(self) -> tuple[type["Database"], tuple[str]]:
        return Database, (self.url,)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` returns, from one consistent snapshot."""
        return self._run(work, is_write=False, retry_seconds=RETRY_SECONDS)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` returns, its changes committed; an exception undoes them.

        `work` may run several times, and must find by itself what an earlier try committed.

        Raises:
            RegistryError: the database cannot be reached, or is locked for too long.
        """
        return self._run(work, is_write=True, retry_seconds=RETRY_SECONDS)

    def _run(
        self, work: Callable[[sa.Connection], T], *, is_write: bool, retry_seconds: float
    ) -> T:
        deadline = time.monotonic() + retry_seconds
        pause = 0.05
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.execution_options(loray_write=is_write)
                    with connection.begin():
                        return work(connection)
            except DBAPIError as error:
                if not _is_trouble(error):
                    raise
                if not _may_pass(error) or time.monotonic() + pause > deadline:
                    raise self._unreachable(error) from error
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _unreachable(self, error: DBAPIError) -> RegistryError:
        cause = str(error.orig).strip().splitlines()[0][:200]
        return RegistryError(
            f"the registry's database {self.url} did not answer: {cause}; "
            "check that it runs and that nothing holds it locked, then try again"
        )


def now(connection: sa.Connection) -> float:
    """Seconds since 1970 on the one clock that all users of the database share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    statement = sa.text("SELECT extract(epoch FROM clock_timestamp())")
    return float(connection.scalar(statement) or 0.0)


def _is_trouble(error: DBAPIError) -> bool:
    """Whether the database failed, rather than refused what was asked of it."""
    return isinstance(error, (InterfaceError, OperationalError)) or type(error) is DatabaseError


def _may_pass(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed later: a lost connection, a lock, a deadlock."""
    is_sqlite = isinstance(error.orig, sqlite3.Error)
    return "locked" in str(error.orig) if is_sqlite else True


def _parse_url(url: str) -> URL:
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise SpecError(
            "the registry's URL is none that SQLAlchemy reads; "
            "use sqlite:///path/registry.db or postgresql://host/database"
        ) from None
    if parsed.password or {"password", "passfile"} & parsed.query.keys():
        raise SpecError(
            f"a {parsed.get_backend_name()}:// URL holds credentials; take them out and put them "
            "into PGPASSWORD or ~/.pgpass"
        )
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return _parse_sqlite(parsed)
        case "postgresql" | "postgresql+psycopg":
            return parsed.set(drivername="postgresql+psycopg", password=None)
        case other:
            raise SpecError(
                f"the registry cannot live in {ascii(other)[:40]}; "
                "use sqlite:///path/registry.db or postgresql://host/database"
            )


def _parse_sqlite(parsed: URL) -> URL:
    name = parsed.database
    if not name or name == ":memory:" or name.startswith("file:") or parsed.query:
        raise SpecError(
            "a SQLite registry needs a file and no options; use sqlite:///path/registry.db"
        )
    path = Path(name).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = filesystem_kind(path.parent)
    if kind in NETWORK_FILESYSTEMS:
        raise SpecError(
            f"{path} lies on {kind}, where SQLite's write-ahead log is not safe; "
            "use a local disk, or PostgreSQL for a team: postgresql://host/database"
        )
    return parsed.set(database=str(path))


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


def _open_engine(url: URL) -> sa.Engine:
    """An engine that keeps no connection between transactions: none can leak through a fork."""
    if url.get_backend_name() != "sqlite":
        try:
            return sa.create_engine(
                url, poolclass=sa.NullPool, connect_args={"connect_timeout": 10}
            )
        except ModuleNotFoundError:
            raise SpecError(
                "a registry in PostgreSQL needs psycopg; install it with: pip install "
                "'loray[postgres]'"
            ) from None
    engine = sa.create_engine(
        url, poolclass=sa.NullPool, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own
    cursor = connection.cursor()
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at once: a transaction that reads first could fail when it writes."""
    is_write = connection.get_execution_options().get("loray_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
