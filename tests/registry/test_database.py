import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loray.errors import RegistryError, SpecError
from loray.registry import Registry
from loray.registry.database import Database
from loray.registry.sqlite import filesystem_kind
from tests.registry.versions import promotable

CANARY = "canary-9f3c"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{CANARY}@db/loray",
        f"postgresql+psycopg://me:{CANARY}@db/loray",
        f"postgresql://db/loray?password={CANARY}",
        f"postgresql://db/loray?passfile={CANARY}",
        f"mysql://me:{CANARY}@db/loray",
        f"sqlite:///{CANARY}.db?mode=ro",
        f"sqlite:///file:{CANARY}",
        f"http://169.254.169.254/{CANARY}",
        f"file:///etc/{CANARY}",
        f"no url but {CANARY}",
    ],
)
def test_row_29_a_url_of_another_kind_or_with_credentials_is_refused_and_not_echoed(
    url: str,
) -> None:
    with pytest.raises(SpecError) as caught:
        Database(url)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_registry_that_would_forget_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match="needs a file"):
        Database(url)


@pytest.mark.parametrize(
    "root",
    [
        f"s3://user:{CANARY}@bucket/x", "file:///etc", "http://169.254.169.254/latest", "gs://b/x",
    ],
)  # fmt: skip
def test_row_29_a_root_of_another_kind_or_with_credentials_is_refused(
    local_url: str, root: str
) -> None:
    with pytest.raises(SpecError) as caught:
        Registry(local_url, root)
    assert CANARY not in str(caught.value)


def test_sqlite_is_opened_for_durability(local_url: str) -> None:
    def pragmas(connection: sa.Connection) -> dict[str, Any]:
        names = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        return {n: connection.exec_driver_sql(f"PRAGMA {n}").scalar() for n in names}

    database = Database(local_url)
    database.write(lambda _: None)
    for look in (database.read, database.write):
        assert look(pragmas) == {
            "journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000, "foreign_keys": 1,
        }  # fmt: skip


@pytest.mark.slow
def test_a_postgresql_host_that_goes_silent_is_given_up(url: str) -> None:
    """By default a question to a host that is gone waits for hours."""

    def settings(found_url: str) -> dict[str, str]:
        def look(connection: sa.Connection) -> dict[str, str]:
            found: Any = connection.connection.dbapi_connection
            return dict(found.info.get_parameters())

        database = Database(found_url)
        database.write(lambda _: None)
        return database.read(look)

    if url.startswith("sqlite"):
        pytest.skip("SQLite has no host")
    assert settings(url).items() >= {
        "connect_timeout": "10", "keepalives_idle": "15", "keepalives_interval": "5",
        "keepalives_count": "3", "tcp_user_timeout": "30000",
    }.items()  # fmt: skip
    assert settings(f"{url}&keepalives_idle=99")["keepalives_idle"] == "99"


def test_a_write_shuts_other_writers_out_from_its_beginning(local_url: str, tmp_path: Path) -> None:
    """A transaction that reads first and locks later could fail when it comes to write."""

    def work(_: sa.Connection) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "registry.db", timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            assert other.execute("SELECT count(*) FROM adapter").fetchone() == (0,)

    database = Database(local_url)
    database.write(lambda _: None)
    database.write(work)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "lustre", "fuse.sshfs"])
def test_sqlite_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nhost:/x {tmp_path}/a\\040b {kind} rw 0 0\n")
    shared, local = tmp_path / "a b", tmp_path / "local"
    shared.mkdir()
    assert filesystem_kind(shared, mounts) == kind
    assert filesystem_kind(local, mounts) == "ext4"
    monkeypatch.setattr("loray.registry.sqlite.filesystem_kind", lambda _: kind)
    with pytest.raises(SpecError, match="postgresql://"):
        Database(f"sqlite:///{shared}/registry.db")


def test_a_schema_from_the_future_is_refused(url: str) -> None:
    database = Database(url)
    database.write(lambda c: c.exec_driver_sql("UPDATE meta SET value = '99'"))
    with pytest.raises(RegistryError, match="schema 99, this loray knows 1"):
        Database(url)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET reason = 'another'",
        "DELETE FROM event",
        "DELETE FROM version",
        "UPDATE version SET digest = 'another'",
        "UPDATE version SET scores = NULL",
        "UPDATE version SET number = 5",
    ],
)
def test_history_cannot_be_rewritten_even_with_sql(
    url: str, tmp_path: Path, statement: str
) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    registry.promote(promotable(registry))
    with pytest.raises(sa.exc.DBAPIError, match="history is never rewritten"):
        Database(url).write(lambda c: c.exec_driver_sql(statement))


def test_an_alias_cannot_dangle_even_with_sql(url: str, tmp_path: Path) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    registry.promote(promotable(registry))
    with pytest.raises(sa.exc.IntegrityError):
        Database(url).write(lambda c: c.exec_driver_sql("UPDATE alias SET version = 9"))


def test_an_unreachable_database_is_told_soon_and_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loray.registry.database.OPEN_SECONDS", 0.2)
    with pytest.raises(RegistryError, match="did not answer"):
        Database(f"postgresql://nobody@/loray?host={tmp_path}")


def test_a_file_that_is_no_database_is_told_plainly(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(RegistryError, match="not a database"):
        Database(f"sqlite:///{path}")


def test_work_that_fails_leaves_nothing(url: str) -> None:
    def work(connection: sa.Connection) -> None:
        connection.exec_driver_sql("INSERT INTO adapter VALUES ('bot', 0)")
        raise RegistryError("changed my mind")

    database = Database(url)
    with pytest.raises(RegistryError):
        database.write(work)
    count = sa.text("SELECT count(*) FROM adapter")
    assert database.read(lambda c: c.scalar(count)) == 0


def test_a_relative_path_stays_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry = Registry("sqlite:///sub/registry.db", "root")
    promotable(registry)
    monkeypatch.chdir("/")
    assert registry.resolve("bot@1").number == 1
    assert (tmp_path / "sub" / "registry.db").exists()


def test_opening_a_registry_loads_nothing_heavy() -> None:
    script = "import sys, loray.registry; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "ray", "pyarrow", "numpy", "peft", "transformers"}
    assert heavy & set(done.stdout.split()) == set()
