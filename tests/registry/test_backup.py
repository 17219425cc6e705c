"""A backup holds all that a registry is, also while others write to it."""

import json
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from loray.errors import AdapterError, RegistryError, RegistryMismatchError
from loray.registry import Registry
from loray.registry.backup import back_up, check_backup, check_restorable, restore
from loray.registry.leases import read_holder
from loray.registry.ledger import RunLedger
from tests.registry import versions
from tests.registry.histories import live, rows
from tests.registry.versions import register, start


def test_a_backup_comes_back_as_it_was(url: str, tmp_path: Path) -> None:
    """Out of either kind of database, and into the other kind."""
    registry = Registry(url, str(tmp_path / "root"))
    live(registry)
    with RunLedger(url).acquire("run"), RunLedger(url).acquire("other"):
        about = back_up(url, registry.root, tmp_path / "backup")
    assert about.rows == {"adapter": 2, "version": 5, "alias": 2, "event": 19, "lease": 2}
    assert check_backup(tmp_path / "backup") == about
    new = f"sqlite:///{tmp_path}/new.db"
    check_restorable(about, tmp_path / "backup", new, str(tmp_path / "new"))
    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "new").exists()
    restore(tmp_path / "backup", new, str(tmp_path / "new"))
    assert rows(new) == rows(url)
    again = Registry(new, str(tmp_path / "new"))
    assert again.fsck() == ()
    assert again.versions("bot") == registry.versions("bot")
    for mixed in (Registry(new, registry.root), Registry(url, str(tmp_path / "new"))):
        with pytest.raises(RegistryMismatchError, match="do not belong together"):
            mixed.adapters()
    assert register(again, seed=6).number == 5
    assert RunLedger(new).acquire("run").attempt == 2  # the fence goes on counting
    assert again._database.read(lambda c: read_holder(c, "other"))[0].is_released  # type: ignore[index]
    with pytest.raises(RegistryError, match="never written over"):
        restore(tmp_path / "backup", new, str(tmp_path / "new"))


def test_a_backup_is_restored_into_either_kind_of_database(url: str, tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/old.db", str(tmp_path / "root"))
    live(registry)
    back_up(f"sqlite:///{tmp_path}/old.db", registry.root, tmp_path / "backup")
    restore(tmp_path / "backup", url, str(tmp_path / "new"))
    assert rows(url) == rows(f"sqlite:///{tmp_path}/old.db")
    again = Registry(url, str(tmp_path / "new"))
    assert register(again, seed=6).number == 5  # its event's id follows the restored ones
    assert again.fsck() == ()


def test_a_lost_database_is_restored_beside_its_own_root(
    registry: Registry, local_url: str, tmp_path: Path
) -> None:
    register(registry)
    back_up(local_url, registry.root, tmp_path / "backup", with_blobs=False)
    assert not (tmp_path / "backup" / "sha256").exists()
    new = f"sqlite:///{tmp_path}/new.db"
    with pytest.raises(RegistryError, match="the storage root lacks 3 of 3"):
        restore(tmp_path / "backup", new, str(tmp_path / "elsewhere"))
    restore(tmp_path / "backup", new, registry.root)
    again = Registry(new, registry.root)
    assert again.fsck() == ()
    register(again, seed=1)
    for path in tmp_path.glob("new.db*"):
        path.unlink()
    with pytest.raises(RegistryError, match=r"1 events that the backup does not.*rebuild"):
        restore(tmp_path / "backup", new, registry.root)
    assert not (tmp_path / "new.db").exists()


def test_a_backup_is_not_restored_into_anothers_root(
    registry: Registry, local_url: str, tmp_path: Path
) -> None:
    register(registry)
    back_up(local_url, registry.root, tmp_path / "backup")
    other = Registry(f"sqlite:///{tmp_path}/other.db", str(tmp_path / "other"))
    register(other, seed=1)
    with pytest.raises(RegistryError, match="is that of registry"):
        restore(tmp_path / "backup", f"sqlite:///{tmp_path}/n.db", other.root)
    assert other.fsck() == ()


@pytest.mark.parametrize("what", ["backup.json", "tables.jsonl", "blob"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_backup_is_refused(
    registry: Registry, local_url: str, tmp_path: Path, what: str, damage: str
) -> None:
    register(registry)
    folder = tmp_path / "backup"
    back_up(local_url, registry.root, folder)
    path = next((folder / "sha256").iterdir()) if what == "blob" else folder / what
    data = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "flip":
            at = data.index(b'"format"') + 2 if what == "backup.json" else len(data) // 2
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        case _:
            path.unlink()
    new = f"sqlite:///{tmp_path}/new.db"
    with pytest.raises(RegistryError, match=r"is damaged|is missing|is not a backup"):
        restore(folder, new, str(tmp_path / "new"))
    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "new").exists()


def test_a_backup_overwrites_nothing_and_leaves_nothing_half_written(
    registry: Registry, local_url: str, tmp_path: Path
) -> None:
    version = register(registry)
    (tmp_path / "taken").mkdir()
    with pytest.raises(RegistryError, match="is there already"):
        back_up(local_url, registry.root, tmp_path / "taken")
    (Path(registry.root) / "registry" / "sha256" / version.digest).unlink()
    with pytest.raises(AdapterError, match="is missing"):
        back_up(local_url, registry.root, tmp_path / "backup")
    assert not [p for p in tmp_path.iterdir() if "backup" in p.name]


def test_a_backup_is_its_owners_alone(registry: Registry, local_url: str, tmp_path: Path) -> None:
    register(registry)
    back_up(local_url, registry.root, tmp_path / "backup")
    found = [tmp_path / "backup", *(tmp_path / "backup").rglob("*")]
    modes = {(p.is_dir(), f"{stat.S_IMODE(p.stat().st_mode):o}") for p in found}
    assert modes == {(True, "700"), (False, "600")}


def test_no_backup_is_made_of_a_registry_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="was never written to"):
        back_up(f"sqlite:///{tmp_path}/registry.db", str(tmp_path / "root"), tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_meets_a_limit_leaves_no_folder(
    registry: Registry, local_url: str, tmp_path: Path
) -> None:
    """In a process that may write no file above 1000 bytes: the weights have 1068."""
    register(registry)
    script = (
        "import sys; from pathlib import Path; from loray.registry.backup import back_up\n"
        "from loray.errors import RegistryError\n"
        "try: back_up(sys.argv[1], sys.argv[2], Path(sys.argv[3]))\n"
        "except RegistryError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, local_url, registry.root, str(tmp_path / "backup")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True, text=True,
    )  # fmt: skip
    assert "ulimit -f" in done.stdout, done.stderr
    assert not [p for p in tmp_path.iterdir() if "backup" in p.name]


@pytest.mark.slow
def test_backups_under_two_writers_are_each_whole(url: str, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    registry = Registry(url, root)
    register(registry, seed=10**9 + 1)
    running = [start(versions.publish_for_ever, n, url, root) for n in range(2)]
    for _, receiver in running:
        assert receiver.poll(60)
    counts = []
    for turn in range(3):
        about = back_up(url, root, tmp_path / f"backup{turn}")
        counts.append(about.rows["version"])
    for process, _ in running:
        process.kill()
        process.join(10)
    assert counts == sorted(counts)
    for turn, count in enumerate(counts):
        new, place = f"sqlite:///{tmp_path}/new{turn}.db", str(tmp_path / f"new{turn}")
        restore(tmp_path / f"backup{turn}", new, place)
        again = Registry(new, place)
        assert [v.number for v in again.versions("bot")] == list(range(1, count + 1))
        assert again.fsck() == ()
    lines = (tmp_path / "backup0" / "tables.jsonl").read_text().splitlines()
    assert {json.loads(line)["table"] for line in lines} == {"adapter", "version", "event"}
    shutil.rmtree(tmp_path / "backup0")


def test_what_a_killed_backup_left_goes_with_the_next_and_a_living_ones_stays(
    registry: Registry, local_url: str, tmp_path: Path
) -> None:
    live(registry)
    script = (
        "import sys, time; from pathlib import Path;"
        "from loray.registry.unfinished import unfinished_folder\n"
        "with unfinished_folder(Path(sys.argv[1]), 'backup') as folder:\n"
        "    (folder / 'rows').write_text('x'); print(folder, flush=True); time.sleep(600)"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        dead, living = (Path(one.stdout.readline().strip()) for one in both if one.stdout)
        both[0].kill()
        both[0].wait()
        assert dead.is_dir()
        back_up(local_url, registry.root, tmp_path / "backup")
        assert sorted(tmp_path.glob(".loray-backup-*")) == [living]
        assert (living / "rows").read_text() == "x"
    finally:
        for one in both:
            one.kill()
            one.wait()
