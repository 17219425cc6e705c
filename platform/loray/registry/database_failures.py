"""What a database's error means, and what to do about it, in words."""

import sqlite3
from dataclasses import dataclass

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

from loray.errors import RegistryError

_RECOVER = (
    "restore it from a backup (`loray registry restore FOLDER`), or move the file away and run "
    "`loray registry rebuild`"
)
_SQLITE = {
    sqlite3.SQLITE_NOTADB: f"is not a SQLite database; {_RECOVER}",
    sqlite3.SQLITE_CORRUPT: f"is damaged; {_RECOVER}",
    sqlite3.SQLITE_READONLY: "is read-only for this user, so it can be read and not written; "
    "check the modes of the file and its folder, and how the disk is mounted",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its folder is there, that this user "
    "may read and write the folder and the file, and that the disk is not mounted read-only",
    sqlite3.SQLITE_PERM: "may not be opened by this user; check the file's mode and owner",
    sqlite3.SQLITE_FULL: "could not be written, the disk is full; free some space, then run the "
    "command again",
    sqlite3.SQLITE_IOERR: "could not be read or written by the disk; check that there is space, "
    "that no quota or limit (ulimit -f) is reached, and the disk itself",
    sqlite3.SQLITE_BUSY: "is locked by another process for too long; wait for it, or end it, "
    "then try again",
    sqlite3.SQLITE_LOCKED: "is locked by another process for too long; wait for it, or end it, "
    "then try again",
    sqlite3.SQLITE_PROTOCOL: "is locked by too many processes at once; try again",
}
_POSTGRESQL = {
    "28P01": "refused the password; check PGPASSWORD or ~/.pgpass",
    "28000": "refused this user; check the user in the URL, and pg_hba.conf on the server",
    "3D000": "is not there; create it (createdb), or correct the name in the URL",
    "3F000": "has no such schema; create it, or correct search_path in the URL",
    "42501": "may not be used so by this user; GRANT it the right to, or use another user",
    "25006": "is read-only; use the primary server's address, not a standby's",
    "53100": "could not be written, the server's disk is full; free some space, then try again",
    "53300": "has no connection left; raise max_connections, or end some clients",
}
_POSTGRESQL_TEXTS = (
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ('role "', "28000"),
    ('database "', "3D000"),
    ("too many clients", "53300"),
)
"""What libpq says where a connection is refused, for the driver keeps no code of that."""


@dataclass(frozen=True)
class DatabaseFailure:
    """What an error of the driver means."""

    remedy: str
    """What is the matter with the database, and what to do; its name comes before."""
    may_pass: bool
    """Whether the same transaction may succeed a moment later."""


def explain(error: DBAPIError) -> DatabaseFailure | None:
    """What an error means; None where the database did what it should: it refused a change."""
    if isinstance(error.orig, sqlite3.Error):
        return _explain_sqlite(error)
    return _explain_postgresql(error)


def failure_error(url: str, error: DBAPIError, failure: DatabaseFailure) -> RegistryError:
    """The error of ours for it."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return RegistryError(f"the registry's database {url} {failure.remedy} ({lines[0][:300]})")


def _explain_sqlite(error: DBAPIError) -> DatabaseFailure | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None:  # raised by the driver itself, or before there was a connection
        may_pass = "locked" in str(error.orig)
        return (
            DatabaseFailure("did not answer; try again", may_pass) if _is_trouble(error) else None
        )
    kind = code & 0xFF
    if kind in _SQLITE:
        return DatabaseFailure(_SQLITE[kind], kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))
    if kind == sqlite3.SQLITE_ERROR and "no such" in str(error.orig):
        text = "lacks tables or columns that it should have; "
        return DatabaseFailure(text + _RECOVER, may_pass=False)
    return DatabaseFailure("failed; try again", may_pass=False) if _is_trouble(error) else None


def _explain_postgresql(error: DBAPIError) -> DatabaseFailure | None:
    text, code = str(error.orig), getattr(error.orig, "sqlstate", None)
    if code is None and _is_trouble(error):
        code = next((known for mark, known in _POSTGRESQL_TEXTS if mark in text), None)
    if code in _POSTGRESQL:
        return DatabaseFailure(_POSTGRESQL[code], may_pass=code == "53300")
    if code in ("42P01", "42703"):
        return DatabaseFailure(
            "lacks tables or columns that it should have; name another database or schema, "
            "or restore it from a backup (`loray registry restore FOLDER`)",
            may_pass=False,
        )
    if _is_trouble(error):
        return DatabaseFailure(
            "did not answer; check that the server runs, and its host and port in the URL, then "
            "try again",
            may_pass=True,
        )
    return None


def _is_trouble(error: DBAPIError) -> bool:
    """Whether the database failed, rather than refused what was asked of it."""
    return isinstance(error, (InterfaceError, OperationalError)) or type(error) is DatabaseError
