"""Ways in which a registry's storage breaks, each done to a folder with two versions of `bot`."""

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from loray.registry import Registry

NOBODY = 65534
ORPHAN = hashlib.sha256(b"nobody's").hexdigest()


def database(place: Path) -> Path:
    return place / "workspace" / "registry.db"


def kept(place: Path) -> Path:
    return place / "workspace" / "registry"


def blob(place: Path, what: str) -> Path:
    """The weights or the manifest of the first version."""
    version = Registry("sqlite:///workspace/registry.db", "workspace").resolve("bot@1")
    folder = kept(place) / "sha256"
    if what == "manifest":
        return folder / version.digest
    manifest = json.loads((folder / version.digest).read_bytes())
    found = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    return folder / found["adapter_model.safetensors"]


def only(folder: Path) -> Path:
    return next(iter(sorted(p for p in folder.rglob("*") if p.is_file())))


def cut(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, at: int = -1) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def forget_database(place: Path) -> None:
    for path in database(place).parent.glob("registry.db*"):
        path.unlink()


def empty_database(place: Path) -> None:
    forget_database(place)
    database(place).touch()


def write_database(data: bytes) -> Callable[[Path], None]:
    def spoil(place: Path) -> None:
        forget_database(place)
        database(place).write_bytes(data)

    return spoil


def cut_database(place: Path) -> None:
    with closing(sqlite3.connect(database(place))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cut(database(place))


def zero_pages(place: Path) -> None:
    with closing(sqlite3.connect(database(place))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = database(place).read_bytes()
    database(place).write_bytes(data[:4096] + bytes(len(data) - 4096))


def sql(*statements: str) -> Callable[[Path], None]:
    def spoil(place: Path) -> None:
        with closing(sqlite3.connect(database(place), isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    return spoil


def another_program(place: Path) -> None:
    forget_database(place)
    with closing(sqlite3.connect(database(place))) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")


def another_registry(place: Path) -> None:
    """The database of another registry at the place of this one's."""
    forget_database(place)
    shutil.copy(place / "other" / "registry.db", database(place))


def another_root(place: Path) -> None:
    shutil.rmtree(kept(place))
    shutil.copytree(place / "other" / "registry", kept(place))


def older_copy(place: Path) -> None:
    forget_database(place)
    shutil.copy(place / "older.db", database(place))


def foreign_event(place: Path) -> None:
    event = only(kept(place) / "events")
    (event.parent / f"{77:012d}-{'a' * 32}.json").write_bytes(event.read_bytes())


def second_identity(place: Path) -> None:
    (kept(place) / "identity" / f"{'b' * 32}.json").write_text("{}")


def root_is_a_file(place: Path) -> None:
    shutil.rmtree(kept(place))
    kept(place).write_text("")


def root_is_a_link(place: Path) -> None:
    (place / "workspace").rename(place / "elsewhere")
    (place / "workspace").symlink_to("elsewhere")


def broken_link(place: Path) -> None:
    shutil.rmtree(kept(place))
    kept(place).symlink_to("nowhere")


def blobs_are_a_file(place: Path) -> None:
    shutil.rmtree(kept(place) / "sha256")
    (kept(place) / "sha256").write_text("")


def database_is_a_folder(place: Path) -> None:
    forget_database(place)
    database(place).mkdir()


def swapped_manifests(place: Path) -> None:
    first = blob(place, "manifest")
    version = Registry("sqlite:///workspace/registry.db", "workspace").resolve("bot@2")
    first.chmod(0o600)
    first.write_bytes((kept(place) / "sha256" / version.digest).read_bytes())


def extra_files(place: Path) -> None:
    for name in ("README", "0" * 63, ".DS_Store"):
        (kept(place) / "sha256" / name).write_text("mine")
    (kept(place) / "sha256" / "folder").mkdir()


def orphan_of_the_future(place: Path) -> None:
    path = kept(place) / "sha256" / ORPHAN
    path.write_bytes(b"nobody's")
    later = time.time() + 86_400
    os.utime(path, (later, later))


def half_written(place: Path) -> None:
    folder = kept(place) / "partial" / "left"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"half")
    (kept(place) / "partial" / ("c" * 32)).write_bytes(b"{")
    past = time.time() - 90_000
    for path in (kept(place) / "partial").iterdir():
        os.utime(path, (past, past))


def stale_log(place: Path) -> None:
    database(place).with_name("registry.db-wal").write_bytes(b"left by a crash" * 100)


def read_only(place: Path) -> None:
    for path in (place / "workspace").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (place / "workspace").chmod(0o555)


def no_rights_on(name: str) -> Callable[[Path], None]:
    def spoil(place: Path) -> None:
        read_only(place)
        (place / "workspace" / name).chmod(0)

    return spoil


@contextmanager
def another_user() -> Iterator[None]:
    """Without root's rights, which no file mode limits; as who one is where that is not root."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
