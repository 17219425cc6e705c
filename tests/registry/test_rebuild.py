"""A lost database comes back from its storage root."""

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from loray.errors import RegistryError, RegistryMismatchError
from loray.registry import Registry
from loray.registry.database import Database
from loray.registry.rebuild import rebuild
from tests.registry.histories import live, rows
from tests.registry.versions import register


def test_a_rebuilt_database_is_the_lost_one_and_goes_on(url: str, tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/lost.db", str(tmp_path / "root"))
    live(registry)
    lost = rows(f"sqlite:///{tmp_path}/lost.db")
    (tmp_path / "lost.db").unlink()
    dry = rebuild(url, registry.root)
    assert {table: len(found) for table, found in dry.rows.items()} == {
        "adapter": 2, "version": 5, "alias": 2, "event": 19,
    }  # fmt: skip
    assert rows(url) == []
    for _ in range(2):
        assert rebuild(url, registry.root).rows == dry.rows
    done = rebuild(url, registry.root, dry_run=False)
    assert [line.partition(" ")[0] for line in done.lost] == ["leases"]
    assert rows(url) == lost
    again = Registry(url, registry.root)
    assert again.fsck() == ()
    assert register(again, seed=6).number == 5
    assert again.promote(again.resolve("bot@2"), allow_older=True).generation == 5
    assert again.fsck() == ()
    with pytest.raises(RegistryError, match="never written over"):
        rebuild(url, registry.root, dry_run=False)


def test_a_rebuild_that_fails_leaves_nothing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(registry)
    new = f"sqlite:///{tmp_path}/new.db"
    Database(new).write(lambda _: None)

    def refuse(connection: sa.Connection) -> None:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON event WHEN NEW.id > 5 "
            "BEGIN SELECT RAISE(ABORT, 'no more'); END"
        )

    Database(new).write(refuse)
    with pytest.raises(sa.exc.IntegrityError, match="no more"):
        rebuild(new, registry.root, dry_run=False)
    assert rows(new) == []
    Database(new).write(lambda c: c.exec_driver_sql("DROP TRIGGER full"))
    rebuild(new, registry.root, dry_run=False)
    assert Registry(new, registry.root).fsck() == ()


def test_a_rebuild_says_what_it_could_not_restore(registry: Registry, tmp_path: Path) -> None:
    live(registry)
    records = sorted((Path(registry.root) / "registry" / "events").rglob("*.json"))
    second = next(p for p in records if '\\"to_version\\":2' in p.read_text())
    assert '"registered' in second.read_text().replace("\\", "")
    second.write_bytes(second.read_bytes()[:40])
    new = f"sqlite:///{tmp_path}/new.db"
    found = rebuild(new, registry.root, dry_run=False)
    text = "\n".join(found.lost)
    assert f"the record {second.name} is damaged" in text
    assert "bot@2" in text
    assert "bot@champion named bot@2, now it names nothing" in text
    again = Registry(new, registry.root)
    assert [v.number for v in again.versions("bot")] == [1, 3, 4]
    assert again.alias("bot", "champion").model_dump() == {
        "name": "bot", "alias": "champion", "version": None, "generation": 4,
    }  # fmt: skip
    assert register(again, seed=8).number == 5  # no number is ever used again
    (tmp_path / "new.db").unlink()
    assert f"the record {second.name} is damaged" in "\n".join(rebuild(new, registry.root).lost)


def test_a_rebuild_says_which_records_are_gone(registry: Registry, tmp_path: Path) -> None:
    """Without its record, a version that was withdrawn comes back as usable."""
    live(registry)
    gone = next(e.id for e in registry.events("bot") if e.to_state == "withdrawn")
    folder = Path(registry.root) / "registry" / "events" / "000000"
    for number in (gone, 1, 2):
        (found,) = folder.glob(f"{number:012d}-*.json")
        found.unlink()
    text = "\n".join(rebuild(f"sqlite:///{tmp_path}/new.db", registry.root).lost)
    assert f"no record of event {gone}: " in text
    assert "no record of event 1 to 2: " in text
    assert text.count("no record of") == 2


def test_manifests_without_records_are_registered_when_asked(
    registry: Registry, tmp_path: Path
) -> None:
    for seed in range(2):
        register(registry, seed=seed)
    digests = {version.adapter_digest for version in registry.versions("bot")}
    shutil.rmtree(Path(registry.root) / "registry" / "events")
    shutil.rmtree(Path(registry.root) / "registry" / "identity")
    new = f"sqlite:///{tmp_path}/new.db"
    assert len(rebuild(new, registry.root).unrecorded) == 2
    found = rebuild(new, registry.root, unrecorded=True, dry_run=False)
    assert found.unrecorded == []
    again = Registry(new, registry.root)
    assert {version.adapter_digest for version in again.versions("bot")} == digests
    assert {v.state for v in again.versions("bot")} == {"registered"}
    assert "its old number is not known" in again.events("bot")[0].reason
    assert again.fsck() == ()


def test_records_of_two_databases_are_not_mixed(registry: Registry, tmp_path: Path) -> None:
    register(registry)
    record = next((Path(registry.root) / "registry" / "events").rglob("*.json"))
    other = Registry(f"sqlite:///{tmp_path}/other.db", str(tmp_path / "other"))
    register(other, seed=1)
    theirs = next((Path(other.root) / "registry" / "events").rglob("*.json"))
    shutil.copy(theirs, record.parent)
    with pytest.raises(RegistryError, match="have the same number: two databases"):
        rebuild(f"sqlite:///{tmp_path}/new.db", registry.root)


def test_there_is_nothing_to_rebuild_from_an_empty_root(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="nothing to restore"):
        rebuild(f"sqlite:///{tmp_path}/new.db", str(tmp_path / "root"))
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_a_killed_process_left_out_is_written_by_the_next_write(
    registry: Registry,
) -> None:
    register(registry)
    events = Path(registry.root) / "registry" / "events"
    for path in events.rglob("*.json"):
        path.unlink()
    register(registry, seed=1)
    assert len(list(events.rglob("*.json"))) == 2
    for path in events.rglob("*.json"):
        path.unlink()
    assert registry.fsck() == ()
    assert len(list(events.rglob("*.json"))) == 2


def test_a_log_over_many_folders_is_checked_and_rebuilt(
    registry: Registry, local_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write looks at the newest folder of records only."""
    monkeypatch.setattr("loray.registry.event_files.IDS_A_SHARD", 4)
    live(registry)
    shutil.copy(tmp_path / "registry.db", tmp_path / "older.db")
    for seed in range(20, 26):
        register(registry, seed=seed)
    events = Path(registry.root) / "registry" / "events"
    assert len(list(events.iterdir())) == 7
    assert registry.fsck() == ()
    with pytest.raises(RegistryMismatchError, match="older copy"):
        Registry(f"sqlite:///{tmp_path}/older.db", registry.root).adapters()
    shutil.rmtree(events / "000001")  # not the newest: only fsck looks there
    register(registry, seed=10)
    assert not (events / "000001").exists()
    assert registry.fsck() == ()
    assert len(list((events / "000001").iterdir())) == 4
    rebuild(f"sqlite:///{tmp_path}/new.db", registry.root, dry_run=False)
    assert rows(f"sqlite:///{tmp_path}/new.db") == rows(local_url)


@pytest.mark.parametrize("num_lost", [1, 3, 19])
def test_newest_records_that_are_gone_with_the_database_are_told(
    registry: Registry, local_url: str, tmp_path: Path, num_lost: int
) -> None:
    live(registry)
    records = sorted(Path(registry.root, "registry", "events").rglob("*.json"))
    for record in records[-num_lost:]:
        record.unlink()
    Path(local_url.removeprefix("sqlite:///")).unlink()
    lost = rebuild(local_url, registry.root, unrecorded=True).lost
    assert any(records[-1].name in line and "gone" in line for line in lost)
    if num_lost > 1:
        first, last = len(records) - num_lost + 1, len(records) - 1
        assert any(f"no record of event {first} to {last}" in line for line in lost)
    rebuild(local_url, registry.root, unrecorded=True, dry_run=False)
    again = Registry(local_url, registry.root)
    assert again.fsck() == ()
    register(again, seed=77)
    assert again.fsck() == ()
    assert any(records[-1].name in line for line in _lost_once_more(again, local_url))


def _lost_once_more(registry: Registry, url: str) -> list[str]:
    """What a second rebuild of the same root says."""
    for path in Path(url.removeprefix("sqlite:///")).parent.glob("registry.db*"):
        path.unlink()
    return rebuild(url, registry.root).lost


def test_an_old_copy_of_the_database_is_found_out_although_the_records_are_gone(
    registry: Registry, local_url: str, tmp_path: Path
) -> None:
    live(registry)
    shutil.copy(local_url.removeprefix("sqlite:///"), tmp_path / "old.db")
    number = len(rows(local_url))
    register(registry, seed=78)
    assert len(rows(local_url)) > number
    for record in sorted(Path(registry.root, "registry", "events").rglob("*.json"))[19:]:
        record.unlink()
    with pytest.raises(RegistryMismatchError, match="does not know"):
        Registry(f"sqlite:///{tmp_path}/old.db", registry.root).adapters()
