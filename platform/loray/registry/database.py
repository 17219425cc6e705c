"""The registry's database: SQLite in a local file by default, PostgreSQL by URL.

Every change is one transaction, and the only commit point. A transaction on a connection that
broke is tried again: each change carries a key by which a second try finds what the first one did.
Reading makes nothing: where there is no file or there are no tables, an empty registry is read.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from loray.errors import RegistryError, SpecError
from loray.registry.database_failures import explain, failure_error
from loray.registry.schema import create_tables, read_schema_version
from loray.registry.sqlite import empty_engine, reader_engine, sqlite_path, writer_engine
from loray.registry.storage_failures import explaining_storage_failures
from loray.spec.database_url import check_database_url

RETRY_SECONDS = 30
OPEN_SECONDS = 5
_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""libpq's, unless the URL says otherwise: who waits for a host that is gone hears so in 30 s."""

T = TypeVar("T")


class _NoTablesError(Exception):
    """There is no database yet, or one without tables."""


class Database:
    """One registry's database; safe to use from threads, after a fork, and once pickled."""

    def __init__(self, url: str) -> None:
        """Look at the database; nothing is made before the first write.

        Raises:
            SpecError: the URL is of another kind, or holds credentials.
            RegistryError: the database cannot be reached or read, or is of an unknown schema.
        """
        parsed = _parse_url(url)
        self.path = sqlite_path(parsed) if parsed.drivername == "sqlite" else None
        if self.path is not None:
            parsed = parsed.set(database=str(self.path))
        self.url = parsed.render_as_string(hide_password=True)
        self._reader, self._writer = _engines(parsed, self.path)
        self._has_tables = False
        # A wrong address should fail soon.
        self._read(read_schema_version, retry_seconds=OPEN_SECONDS)

    def __reduce__(self) -> tuple[type["Database"], tuple[str]]:
        return Database, (self.url,)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` returns, from one consistent snapshot; that of an empty registry if none is.

        Raises:
            RegistryError: the database cannot be reached or read.
        """
        return self._read(work, retry_seconds=RETRY_SECONDS)

    def write(self, work: Callable[[sa.Connection], T], *, may_create: bool = True) -> T:
        """What `work` returns, its changes committed; an exception undoes them.

        `work` may run several times, and must find by itself what an earlier try committed.

        Args:
            may_create: make the file and the tables where they are missing.

        Raises:
            RegistryError: the database cannot be reached or written, is locked for too long, or
                is missing.
        """
        attempt = partial(self._write_once, work=work, may_create=may_create)
        return self._run(attempt, retry_seconds=RETRY_SECONDS)

    def _write_once(self, work: Callable[[sa.Connection], T], *, may_create: bool) -> T:
        if not self._is_there() and not may_create:
            raise self._gone()
        with self._writer.connect() as connection, connection.begin():
            if not self._is_ready(connection):
                if not may_create:
                    raise self._gone()
                create_tables(connection)
            return work(connection)

    def _read(self, work: Callable[[sa.Connection], T], *, retry_seconds: float) -> T:
        try:
            return self._run(partial(self._read_once, work), retry_seconds=retry_seconds)
        except _NoTablesError:
            with empty_engine().begin() as connection:
                create_tables(connection)
                return work(connection)

    def _read_once(self, work: Callable[[sa.Connection], T]) -> T:
        if not self._is_there():
            raise _NoTablesError
        with self._reader.connect() as connection, connection.begin():
            if not self._is_ready(connection):
                raise _NoTablesError
            return work(connection)

    def _is_there(self) -> bool:
        """Whether there is a file, or a server that says so itself."""
        if self.path is not None and self.path.is_dir():
            raise RegistryError(
                f"the registry's database {self.url} is a folder; name a file, such as "
                f"sqlite:///{self.path}/registry.db"
            )
        return self.path is None or self.path.exists()

    def _is_ready(self, connection: sa.Connection) -> bool:
        """Whether there are tables; asked once of a server, each time of a file, which may go."""
        if not self._has_tables or self.path is not None:
            self._has_tables = read_schema_version(connection) is not None
        return self._has_tables

    def _run(self, attempt: Callable[[], T], *, retry_seconds: float) -> T:
        deadline = time.monotonic() + retry_seconds
        pause = 0.05
        while True:
            try:
                with explaining_storage_failures():
                    return attempt()
            except DBAPIError as error:
                failure = explain(error)
                if failure is None:
                    raise
                if not failure.may_pass or time.monotonic() + pause > deadline:
                    raise failure_error(self.url, error, failure) from error
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _gone(self) -> RegistryError:
        return RegistryError(
            f"the registry's database {self.url} is gone or was emptied; restore it from a backup "
            "(`loray registry restore FOLDER`), or run `loray registry rebuild`"
        )


def now(connection: sa.Connection) -> float:
    """Seconds since 1970 on the one clock that all users of the database share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    statement = sa.text("SELECT extract(epoch FROM clock_timestamp())")
    return float(connection.scalar(statement) or 0.0)


def _parse_url(url: str) -> URL:
    try:
        parsed = sa.make_url(check_database_url(url))
    except ValueError as error:
        raise SpecError(str(error)) from None
    except ArgumentError:
        raise SpecError(
            "SQLAlchemy cannot read the registry's URL; "
            "use sqlite:///path/registry.db or postgresql://host/database"
        ) from None
    kind = parsed.get_backend_name()
    driver = "sqlite" if kind == "sqlite" else "postgresql+psycopg"
    return parsed._replace(drivername=driver, password=None)  # an empty one may have been there


def _engines(url: URL, path: Path | None) -> tuple[sa.Engine, sa.Engine]:
    """One to read and one to write; neither keeps a connection that could leak through a fork."""
    if path is not None:
        return reader_engine(path), writer_engine(path)
    try:
        settings = {key: value for key, value in _CONNECTION.items() if key not in url.query}
        writer = sa.create_engine(url, poolclass=sa.NullPool, connect_args=settings)
    except ModuleNotFoundError:
        raise SpecError(
            "a registry in PostgreSQL needs psycopg; install it with: pip install 'loray[postgres]'"
        ) from None
    # One snapshot for all statements of a reading, as in SQLite.
    return writer.execution_options(isolation_level="REPEATABLE READ"), writer
