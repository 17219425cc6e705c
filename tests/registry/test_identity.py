"""A database and a storage root know each other, and neither is used with a stranger."""

import shutil
import stat
from pathlib import Path

import pytest

from loray.errors import RegistryError, RegistryMismatchError
from loray.registry import Registry, RunLedger
from loray.registry.database import Database
from tests.registry import versions
from tests.registry.versions import all_at_once, promotable, register


def modes(folder: Path) -> set[str]:
    return {f"{stat.S_IMODE(p.stat().st_mode):o}" for p in folder.rglob("*") if p.is_file()}


def age_to_older_loray(registry: Registry, local_url: str) -> None:
    """As a loray left it that knew neither identities nor records."""
    Database(local_url).write(lambda c: c.exec_driver_sql("DELETE FROM meta WHERE key='identity'"))
    for name in ("identity", "events"):
        shutil.rmtree(Path(registry.root) / "registry" / name)


def test_reading_makes_nothing(local_url: str, tmp_path: Path) -> None:
    registry = Registry(local_url, str(tmp_path / "root"))
    assert registry.adapters() == ()
    assert registry.gc().blobs == ()
    assert registry.gc(dry_run=False, grace_seconds=0).blobs == ()
    assert registry.fsck() == ()
    assert RunLedger(local_url).holder("run") is None
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_goes_while_a_server_reads_does_not_come_back_empty(
    registry: Registry, tmp_path: Path
) -> None:
    registry.promote(promotable(registry))
    assert registry.resolve("bot").number == 1
    for path in tmp_path.glob("registry.db*"):
        path.unlink()
    for question in (registry.adapters, lambda: registry.resolve("bot"), registry.events):
        with pytest.raises(RegistryMismatchError, match="missing or empty"):
            question()
    assert list(tmp_path.glob("registry.db*")) == []


def test_a_lease_does_not_make_a_lost_database_again(local_url: str, tmp_path: Path) -> None:
    lease = RunLedger(local_url).acquire("run", ttl_seconds=60)
    for path in tmp_path.glob("registry.db*"):
        path.unlink()
    with pytest.raises(RegistryError, match="is gone or was emptied"):
        lease.check()
    lease.release()
    assert list(tmp_path.glob("registry.db*")) == []


@pytest.mark.parametrize("verb", ["register", "promote", "fsck", "gc", "read", "fetch"])
def test_a_database_and_anothers_root_are_refused_and_nothing_changes(
    url: str, tmp_path: Path, verb: str
) -> None:
    mine = Registry(url, str(tmp_path / "mine"))
    version = promotable(mine)
    theirs = Registry(f"sqlite:///{tmp_path}/theirs.db", str(tmp_path / "theirs"))
    promotable(theirs, seed=1)
    mixed = Registry(url, theirs.root)
    before = sorted(p for p in tmp_path.rglob("*") if "partial" not in p.parts)
    calls = {
        "register": lambda: register(mixed, seed=2),
        "promote": lambda: mixed.promote(version),
        "fsck": mixed.fsck,
        "gc": lambda: mixed.gc(dry_run=False, grace_seconds=-60),
        "read": mixed.adapters,
        "fetch": lambda: mixed.fetch(version),
    }
    with pytest.raises(RegistryMismatchError, match="do not belong together") as caught:
        calls[verb]()
    assert "mine" not in str(caught.value)
    assert theirs.root in str(caught.value)
    after = sorted(p for p in tmp_path.rglob("*") if "partial" not in p.parts)
    assert [p for p in after if "-shm" not in p.name and "-wal" not in p.name] == [
        p for p in before if "-shm" not in p.name and "-wal" not in p.name
    ]
    assert [len(r.versions("bot")) for r in (mine, theirs)] == [1, 1]


def test_a_registry_of_an_older_loray_is_taken_up_by_its_first_write(
    local_url: str, registry: Registry
) -> None:
    registry.promote(promotable(registry))
    age_to_older_loray(registry, local_url)
    opened = Registry(local_url, registry.root)
    assert opened.resolve("bot").number == 1
    assert opened.fsck() == ()
    assert not (Path(registry.root) / "registry" / "identity").exists()
    with pytest.raises(RegistryMismatchError, match=r"no identity yet.*fsck --repair"):
        orphan = Path(registry.root) / "registry" / "sha256" / ("a" * 64)
        orphan.write_bytes(b"nobody's")
        opened.gc(dry_run=False, grace_seconds=-60)
    assert orphan.exists()
    assert opened.fsck(repair=True) == ()
    records = list((Path(registry.root) / "registry" / "events").rglob("*.json"))
    assert len(records) == len(opened.events()) == 4
    assert opened.gc(dry_run=False, grace_seconds=-60).blobs == ("a" * 64,)


def test_an_older_registry_is_not_taken_up_with_anothers_root(
    local_url: str, registry: Registry, tmp_path: Path
) -> None:
    register(registry)
    age_to_older_loray(registry, local_url)
    other = Registry(f"sqlite:///{tmp_path}/other.db", str(tmp_path / "other"))
    register(other, seed=1)
    age_to_older_loray(other, f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(RegistryMismatchError, match="holds the files of none of them"):
        register(Registry(local_url, other.root), seed=2)
    with pytest.raises(RegistryMismatchError, match="missing or empty"):
        register(Registry(f"sqlite:///{tmp_path}/new.db", other.root), seed=2)
    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "other" / "registry" / "identity").exists()


def test_two_databases_that_take_one_root_at_once_do_not_both_get_it(tmp_path: Path) -> None:
    """Both may be refused; what is never there is two that work."""
    from loray.registry.identity import read_root_identity, write_root_identity
    from loray.registry.root_files import LocalFiles

    files = LocalFiles(tmp_path / "root")
    write_root_identity(files, "a" * 32, "first")
    with pytest.raises(RegistryMismatchError, match="another database took"):
        write_root_identity(files, "b" * 32, "second")
    assert read_root_identity(files) == "a" * 32


@pytest.mark.slow
def test_first_writers_at_the_same_moment_make_one_registry(url: str, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    told = all_at_once(6, versions.publish_and_move, url, root, 1)
    assert len([e for events in told for e in events if e[0] == "version"]) == 6
    assert len(list((tmp_path / "root" / "registry" / "identity").iterdir())) == 1
    registry = Registry(url, root)
    assert registry.fsck() == ()
    records = list((tmp_path / "root" / "registry" / "events").rglob("*.json"))
    assert len(records) == len(registry.events()) == 12


def test_two_copies_of_a_database_cannot_both_write(
    local_url: str, registry: Registry, tmp_path: Path
) -> None:
    register(registry)
    shutil.copy(tmp_path / "registry.db", tmp_path / "copy.db")
    copy = Registry(f"sqlite:///{tmp_path}/copy.db", registry.root)
    assert len(copy.versions("bot")) == 1
    register(registry, seed=1)
    again = Registry(f"sqlite:///{tmp_path}/copy.db", registry.root)
    for call in (lambda: register(copy, seed=2), again.adapters, again.fsck):
        with pytest.raises(RegistryMismatchError, match="older copy, or another one"):
            call()
    with pytest.raises(RegistryMismatchError, match="older copy"):
        copy.gc(dry_run=False, grace_seconds=-60)
    assert registry.fsck() == ()


def test_a_root_that_is_exchanged_under_a_server_is_not_called_damaged(
    registry: Registry, tmp_path: Path
) -> None:
    version = register(registry)
    registry.fetch(version)
    other = Registry(f"sqlite:///{tmp_path}/other.db", str(tmp_path / "other"))
    register(other, seed=1)
    shutil.rmtree(registry.root)
    shutil.copytree(other.root, registry.root)
    with pytest.raises(RegistryMismatchError, match="do not belong together"):
        registry.fetch(version)
    with pytest.raises(RegistryMismatchError, match="do not belong together"):
        registry.export("bot@1", tmp_path / "out")


def test_what_a_registry_keeps_is_its_owners_alone(registry: Registry, tmp_path: Path) -> None:
    version = promotable(registry)
    registry.fetch(version)
    registry.export("bot@1", tmp_path / "out")
    kept = Path(registry.root) / "registry"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    folders = {stat.S_IMODE(p.stat().st_mode) for p in kept.rglob("*") if p.is_dir()}
    assert folders == {0o700}
    assert modes(kept) == {"400", "600"}
    assert {f"{stat.S_IMODE(p.stat().st_mode):o}" for p in tmp_path.glob("registry.db*")} == {"600"}
    assert modes(tmp_path / "out") == {"644"}  # an export is for others: the umask says for whom
