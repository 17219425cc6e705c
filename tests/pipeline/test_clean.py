"""What cleaning takes, and what it never does."""

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loray.artifacts.describe import describe
from loray.artifacts.manifest import Stage
from loray.artifacts.store import Store
from loray.errors import RegistryError
from loray.pipeline.clean import DATED_AHEAD, Item, Selection, look_through, remove
from loray.pipeline.leased import rates_key
from loray.registry import Registry, RunLedger
from loray.registry.database import Database
from loray.registry.schema import lease
from loray.spec.run import StorageSpec
from tests.registry.versions import promotable


@pytest.fixture
def storage(tmp_path: Path) -> StorageSpec:
    return StorageSpec(root=str(tmp_path / "root"), registry=f"sqlite:///{tmp_path}/registry.db")


def stage(kind: str, mark: str, name: str = "bot") -> Stage:
    return Stage.model_validate({"kind": kind, "name": name, "fingerprint": mark * 12})


def make(storage: StorageSpec, made: Stage, *, days: float, **inputs: str) -> None:
    store = Store(storage.root)
    work = store.work_folder(made)
    (work / "rows.txt").write_text("x" * 1000)
    manifest = describe(work, made, stage_version=1, recipe={}, inputs=inputs, statistics={})
    created = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    store.commit(manifest.model_copy(update={"created": created}), work)


def run(storage: StorageSpec, mark: str, *, days: float, name: str = "bot") -> None:
    """Three artifacts of one run."""
    same = mark * 12
    make(storage, stage("dataset", mark, name), days=days)
    make(storage, stage("training", mark, name), days=days, dataset=same)
    make(storage, stage("evaluation", mark, name), days=days, dataset=same, training=same)


def going(storage: StorageSpec, **selection: Any) -> list[str]:
    items = look_through(storage, Selection(**selection))
    return sorted(item.name for item in items if not item.kept)


def folders(*marks: str) -> list[str]:
    return sorted(
        f"{kind}s/bot-{m * 12}" for kind in ("dataset", "training", "evaluation") for m in marks
    )


def test_old_runs_go_and_the_newest_stays(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60), ("c", 40)):
        run(storage, mark, days=days)
    assert going(storage) == folders("a", "b")
    gone = [item.name for item in remove(storage, look_through(storage, Selection()))]
    assert sorted(gone) == folders("a", "b")
    assert Store(storage.root).stages() == [
        stage(kind, "c") for kind in ("dataset", "training", "evaluation")
    ]
    assert going(storage) == []


def test_age_size_and_kind_select(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 10), ("c", 1)):
        run(storage, mark, days=days)
    assert going(storage, older_than_days=5) == folders("a", "b")
    assert going(storage, older_than_days=5, larger_than_bytes=10_000) == []
    assert going(storage, kinds=("training",)) == [f"trainings/bot-{'a' * 12}"]


def test_what_versions_behind_aliases_were_made_from_stays(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60), ("c", 40)):
        run(storage, mark, days=days)
    registry = Registry(storage.registry, storage.root)
    marks = dict.fromkeys(("dataset", "training", "evaluation"), "a" * 12)
    registry.promote(promotable(registry, **marks), "champion")
    assert going(storage) == folders("b")
    (kept,) = {item.kept for item in look_through(storage, Selection()) if "-aaa" in item.name}
    assert kept == "bot@champion was made from it"


def test_inputs_of_what_stays_stay(storage: StorageSpec) -> None:
    """The newest training learned from a dataset that is not the newest."""
    make(storage, stage("dataset", "a"), days=90)
    make(storage, stage("dataset", "b"), days=80)
    make(storage, stage("training", "c"), days=40, dataset="a" * 12)
    assert going(storage) == []


def test_nothing_of_a_run_under_way_goes(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60)):
        run(storage, mark, days=days)
    with RunLedger(storage.registry).acquire(stage("training", "f").folder):
        assert going(storage) == []
    assert going(storage) == folders("a")


def test_a_run_that_starts_after_the_look_loses_nothing(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60)):
        run(storage, mark, days=days)
    items = look_through(storage, Selection())
    with RunLedger(storage.registry).acquire(stage("training", "a").folder):
        gone = [item.name for item in remove(storage, items)]
    assert gone == []


def test_nothing_of_a_run_that_is_being_published_goes(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60)):
        run(storage, mark, days=days, name="my-bot")
    items = look_through(storage, Selection())
    assert sum(not item.kept for item in items) == 3
    with RunLedger(storage.registry).acquire("publish:my-bot"):
        assert going(storage) == []
        assert list(remove(storage, items)) == []
    assert len(list(remove(storage, items))) == 3


def test_what_an_alias_was_moved_to_after_the_look_stays(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60), ("c", 40)):
        run(storage, mark, days=days)
    items = look_through(storage, Selection())
    registry = Registry(storage.registry, storage.root)
    marks = dict.fromkeys(("dataset", "training", "evaluation"), "a" * 12)
    registry.promote(promotable(registry, **marks), "champion")
    assert sorted(item.name for item in remove(storage, items)) == folders("b")


def test_an_artifact_of_a_newer_loray_stays(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60)):
        make(storage, stage("training", mark), days=days)
    manifest = Path(storage.root) / stage("training", "a").folder / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"stage_version"', '"is_new": 1, "stage_version"')
    )
    (kept,) = (i for i in look_through(storage, Selection(older_than_days=0)) if "-aaa" in i.name)
    assert "newer loray" in kept.kept
    assert going(storage, older_than_days=0) == []


def test_work_that_was_left_and_half_commits_go_by_age(storage: StorageSpec) -> None:
    store = Store(storage.root)
    work = store.work_folder(stage("training", "a"))
    (work / "attempts").mkdir()
    (work / "attempts" / "state.bin").write_bytes(b"x" * 5000)
    torn = Path(storage.root) / stage("evaluation", "b").folder / "torn.txt"
    torn.parent.mkdir(parents=True)
    torn.write_text("half")
    assert going(storage) == []
    found = {item.name: item for item in look_through(storage, Selection(older_than_days=0))}
    assert {item.kind for item in found.values()} == {"work", "evaluation"}
    assert found[f".work/trainings/bot-{'a' * 12}"].num_bytes == 5000
    assert len(list(remove(storage, found.values()))) == 2
    assert not work.exists()
    assert not torn.exists()


def test_a_committed_artifact_outlives_its_work_folder(storage: StorageSpec) -> None:
    make(storage, stage("dataset", "a"), days=90)
    Store(storage.root).work_folder(stage("dataset", "a"))
    items = look_through(storage, Selection(older_than_days=0))
    assert [item.name for item in remove(storage, items)] == [f".work/datasets/bot-{'a' * 12}"]
    assert Store(storage.root).read_manifest(stage("dataset", "a")) is not None


def test_two_cleanings_at_once_share_the_work(storage: StorageSpec) -> None:
    run(storage, "a", days=90)
    run(storage, "b", days=60)
    work = Store(storage.root).work_folder(stage("training", "c"))
    (work / "f").write_text("x")
    mine = look_through(storage, Selection(older_than_days=0))
    others = remove(storage, look_through(storage, Selection(older_than_days=0)))
    next(others)
    assert len(list(remove(storage, mine))) == 4
    assert len(list(others)) == 3
    assert going(storage, older_than_days=0) == []
    assert not work.exists()


def test_a_work_folder_may_change_while_it_is_weighed(storage: StorageSpec) -> None:
    """A run deletes old checkpoints as it goes on."""
    work = Store(storage.root).work_folder(stage("training", "a"))
    end = threading.Event()

    def train() -> None:
        while not end.is_set():
            for name in ("x", "y"):
                (work / name).mkdir()
                (work / name / "file").write_text("x")
                shutil.rmtree(work / name)

    training = threading.Thread(target=train)
    training.start()
    try:
        for _ in range(40):
            assert [item.kind for item in look_through(storage, Selection())] == ["work"]
    finally:
        end.set()
        training.join()


def test_a_disk_that_fails_is_told(storage: StorageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    run(storage, "a", days=90)
    run(storage, "b", days=60)
    items = look_through(storage, Selection())

    def fail(*_: object) -> None:
        raise OSError("AWS Error NETWORK_CONNECTION during ListObjectsV2 operation")

    monkeypatch.setattr(Store, "delete", fail)
    with pytest.raises(RegistryError, match="S3 does not answer"):
        list(remove(storage, items))
    monkeypatch.setattr(Store, "stages", fail)
    with pytest.raises(RegistryError, match="S3 does not answer"):
        look_through(storage, Selection())


def test_links_are_not_followed(storage: StorageSpec, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    base = Path(storage.root) / ".work" / "trainings"
    base.mkdir(parents=True)
    (base / f"bot-{'a' * 12}").symlink_to(outside)
    store = Store(storage.root)
    (store.work_folder(stage("training", "b")) / "link").symlink_to(outside)
    list(remove(storage, look_through(storage, Selection(older_than_days=0))))
    assert (outside / "precious").read_text() == "x"


def test_the_largest_come_first(storage: StorageSpec) -> None:
    store = Store(storage.root)
    for mark, size in (("a", 10), ("b", 3000), ("c", 200)):
        (store.work_folder(stage("training", mark)) / "f").write_bytes(b"x" * size)
    items: list[Item] = look_through(storage, Selection())
    assert [item.num_bytes for item in items] == [3000, 200, 10]


def test_a_search_of_rates_keeps_its_work_and_its_run(storage: StorageSpec) -> None:
    for mark, days in (("a", 90), ("b", 60)):
        run(storage, mark, days=days)
    for mark in ("1", "2"):
        (Path(storage.root) / ".work" / f"rates-{mark * 8}" / "step").mkdir(parents=True)
    rates = [f".work/rates-{mark * 8}" for mark in ("1", "2")]
    assert going(storage, older_than_days=0, kinds=("work",)) == rates
    items = look_through(storage, Selection(older_than_days=0))
    with RunLedger(storage.registry).acquire(rates_key("bot", "1" * 8)):
        assert going(storage, older_than_days=0) == rates[1:]
        assert [item.name for item in remove(storage, items)] == rates[1:]
    assert going(storage, older_than_days=0) == sorted([*folders("a"), rates[0]])


def test_what_is_dated_in_the_future_stays_and_is_told(storage: StorageSpec) -> None:
    for mark, days in (("a", -40), ("b", -50)):
        run(storage, mark, days=days)
    assert going(storage, older_than_days=0) == []
    told = {item.kept for item in look_through(storage, Selection(older_than_days=0))}
    assert DATED_AHEAD in told


def test_a_lease_whose_time_ran_out_counts_while_its_process_lives(storage: StorageSpec) -> None:
    """As after the clock was set ahead."""
    for mark, days in (("a", 90), ("b", 60)):
        run(storage, mark, days=days)
    with RunLedger(storage.registry).acquire(stage("training", "a").folder) as held:
        held._stop.set()
        late = sa.update(lease).values(expires=0.0, heartbeat=0.0)
        Database(storage.registry).write(lambda connection: connection.execute(late))
        assert going(storage) == []
