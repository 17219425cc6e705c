"""Each failure of a database or a disk has its own message, with the remedy that fits."""

import contextlib
import errno
import gc
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loray.errors import LorayError, RegistryError, SpecError
from loray.registry import Registry
from loray.registry.database import Database
from loray.registry.storage_failures import storage_failure
from loray.spec.database_url import check_database_url
from tests.registry.versions import register

SECRET = "canary-77aa"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@db/loray",
        f"postgresql://db/loray?password={SECRET}",
        f"postgresql://db/loray?pass%77ord={SECRET}",
        f"postgresql://db/loray?sslmode=require&sslpassword={SECRET}",
        f"postgresql://db/loray?passfile={SECRET}",
        f"postgresql://db/loray?service={SECRET}",
        f"postgresql://db/loray?servicefile={SECRET}",
        f"postgresql://db/loray?oauth_client_secret={SECRET}",
        f"postgresql://db/loray?scram_client_key={SECRET}",
        f"postgresql://db/loray?{SECRET}=1",
        f"postgresql+asyncpg://db/{SECRET}",
        f"postgresql://[{SECRET}/loray",
        f"mysql://db/{SECRET}",
        f"sqlite:///{SECRET}.db?mode=ro",
        f"sqlite:///file:{SECRET}.db",
        f"sqlite://host/{SECRET}.db",
        "sqlite:///:memory:",
        "sqlite://",
    ],
)
def test_a_url_is_refused_by_the_spec_as_by_the_registry_and_not_echoed(url: str) -> None:
    from loray.spec.load import parse_run_spec
    from tests.pipeline.evaluated import SPEC

    with pytest.raises(ValueError, match=r"URL|wanted|file") as caught:
        check_database_url(url)
    with pytest.raises(SpecError) as opened:
        Database(url)
    with pytest.raises(SpecError) as loaded:
        parse_run_spec(SPEC, overrides=[f"storage.registry={url}"])
    for error in (caught, opened, loaded):
        assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///workspace/registry.db",
        "sqlite:////var/lib/loray/registry.db",
        "postgresql://me@db:5432/loray?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://me@/loray?host=/run/postgresql&options=-csearch_path%3Dloray",
        "postgresql+psycopg://db/loray?application_name=loray&connect_timeout=5",
    ],
)
def test_a_url_that_holds_no_secret_is_taken(url: str) -> None:
    assert check_database_url(url) == url


def test_a_full_database_is_told_as_such(local_url: str) -> None:
    def fill(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 30")
        connection.exec_driver_sql("CREATE TABLE filler (x)")
        connection.exec_driver_sql("INSERT INTO filler VALUES (zeroblob(1000000))")

    database = Database(local_url)
    with pytest.raises(RegistryError, match=r"the disk is full; free some space"):
        database.write(fill)
    assert database.read(lambda c: sa.inspect(c).has_table("filler")) is False


def test_a_locked_database_is_told_as_such_and_can_be_read(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry)
    monkeypatch.setattr("loray.registry.sqlite.BUSY_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr("loray.registry.database.RETRY_SECONDS", 0.3)
    with contextlib.closing(sqlite3.connect(tmp_path / "registry.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryError, match="is locked by another process"):
            register(registry, seed=1)
        assert len(registry.versions("bot")) == 1
        assert registry.fsck() == ()
    assert register(registry, seed=1).number == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "this user may not do that"),
        (errno.EIO, "the disk failed to read or write"),
    ],
)
def test_a_disk_that_fails_in_a_publish_leaves_the_registry_sound(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    register(registry)
    sync = os.fsync

    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code), "some/file")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RegistryError, match=message) as caught:
        register(registry, seed=1)
    assert isinstance(caught.value.__cause__, OSError)
    monkeypatch.setattr(os, "fsync", sync)
    assert len(registry.versions("bot")) == 1
    assert registry.fsck() == ()
    assert register(registry, seed=1).number == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("what", ["root", "database"])
def test_a_disk_that_is_full_is_told_and_the_same_import_works_with_room(
    small_disk: Path, tmp_path: Path, what: str
) -> None:
    places = {"root": tmp_path, "database": tmp_path} | {what: small_disk}
    registry = Registry(f"sqlite:///{places['database']}/registry.db", f"{places['root']}/root")
    register(registry)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(512))
    with pytest.raises(LorayError, match="disk is full"):
        for seed in range(1, 50):
            register(registry, seed=seed)
    del registry
    gc.collect()
    registry = Registry(f"sqlite:///{places['database']}/registry.db", f"{places['root']}/root")
    assert registry.resolve("bot@1").number == 1  # a full disk can be read
    filler.unlink()
    assert registry.fsck() == ()
    last = registry.adapters()[0].last_version
    assert register(registry, seed=99).number == last + 1
    assert registry.fsck() == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("When listing: AWS Error NO_SUCH_BUCKET during ListObjectsV2", "bucket is not there"),
        ("AWS Error ACCESS_DENIED during PutObject operation", "refused the credentials"),
        ("AWS Error NETWORK_CONNECTION: curlCode: 7, Couldn't connect", "does not answer"),
        ("something else", "check the storage root"),
    ],
)
def test_s3s_failures_are_told_by_what_arrow_says(text: str, message: str) -> None:
    assert message in str(storage_failure(OSError(text)))


@pytest.mark.slow
def test_postgresql_refusals_are_told_apart_and_soon(
    postgresql: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    postgresql.psql("CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE ROLE weak LOGIN;")
    postgresql.psql("CREATE SCHEMA closed;")
    rules = Path(postgresql.pgdata) / "pg_hba.conf"
    rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
    postgresql.psql("SELECT pg_reload_conf();")
    host = f"host={postgresql.pgdata}"
    cases = {
        f"postgresql://guarded@/postgres?{host}": "refused the password; check PGPASSWORD",
        f"postgresql://postgres@/nothing?{host}": "is not there; create it",
        f"postgresql://nobody@/postgres?{host}": "refused this user",
        f"postgresql://postgres@/postgres?host={tmp_path}": "did not answer; check that the server",
    }
    monkeypatch.setattr("loray.registry.database.OPEN_SECONDS", 1)
    for password in (None, f"wrong-{SECRET}"):
        if password:
            monkeypatch.setenv("PGPASSWORD", password)
        for url, message in cases.items():
            begin = time.monotonic()
            with pytest.raises(RegistryError, match=message) as caught:
                Database(url)
            assert SECRET not in str(caught.value)
            assert time.monotonic() - begin < 10
    weak = f"postgresql://weak@/postgres?{host}&options=-csearch_path%3Dclosed"
    with pytest.raises(RegistryError, match=r"GRANT it the right|has no such schema"):
        Database(weak).write(lambda _: None)
    standby = f"{postgresql.get_uri()}&options=-cdefault_transaction_read_only%3Don"
    with pytest.raises(RegistryError, match="is read-only; use the primary"):
        Database(standby).write(lambda _: None)
