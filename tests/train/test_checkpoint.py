import json
import os
from pathlib import Path

import pytest

from loray.errors import TrainingError
from loray.train.checkpoint import COMMIT_NAME, CheckpointStore


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(str(tmp_path / "attempts"))


def commit(store: CheckpointStore, folder: Path, *, attempt: int, step: int, text: str) -> None:
    local = folder / f"local-{attempt}-{step}"
    (local / "deep").mkdir(parents=True)
    (local / "a.txt").write_text(text)
    (local / "deep" / "b.txt").write_text(text * 2)
    store.commit(local, attempt=attempt, step=step)


def test_an_empty_store_has_no_checkpoint(store: CheckpointStore) -> None:
    assert store.committed() == []


def test_what_was_committed_comes_back(store: CheckpointStore, tmp_path: Path) -> None:
    commit(store, tmp_path, attempt=1, step=100, text="one")
    folder = store.fetch(store.committed()[0], tmp_path / "back")
    assert (folder / "a.txt").read_text() == "one"
    assert (folder / "deep" / "b.txt").read_text() == "oneone"


def test_files_without_the_mark_are_no_checkpoint(store: CheckpointStore, tmp_path: Path) -> None:
    """A worker killed in the middle of an upload leaves this."""
    commit(store, tmp_path, attempt=1, step=100, text="one")
    commit(store, tmp_path, attempt=1, step=200, text="two")
    Path(store.uri, "attempt-0001", "step-000200", COMMIT_NAME).unlink()
    assert [c.step for c in store.committed()] == [100]


def test_of_one_step_the_newest_attempt_counts(store: CheckpointStore, tmp_path: Path) -> None:
    commit(store, tmp_path, attempt=2, step=100, text="second")
    commit(store, tmp_path, attempt=1, step=100, text="first")
    commit(store, tmp_path, attempt=1, step=50, text="earlier")
    found = store.committed()
    assert [(c.attempt, c.step) for c in found] == [(1, 50), (2, 100)]


def test_a_damaged_file_is_refused_by_name(store: CheckpointStore, tmp_path: Path) -> None:
    commit(store, tmp_path, attempt=1, step=100, text="one")
    damaged = Path(store.uri, "attempt-0001", "step-000100", "a.txt")
    damaged.write_text("two")
    with pytest.raises(TrainingError, match=r"a\.txt has SHA-256"):
        store.fetch(store.committed()[0], tmp_path / "back")


def test_the_mark_lists_every_file(store: CheckpointStore, tmp_path: Path) -> None:
    commit(store, tmp_path, attempt=3, step=7, text="x")
    mark = json.loads(Path(store.uri, "attempt-0003", "step-000007", COMMIT_NAME).read_text())
    assert sorted(mark["files"]) == ["a.txt", "deep/b.txt"]


def test_damaged_checkpoints_are_taken_back_until_a_sound_one(
    store: CheckpointStore, tmp_path: Path
) -> None:
    """A power loss leaves files that are empty, or not there, beside a mark; or a torn mark."""
    for step in (10, 20, 30, 40):
        commit(store, tmp_path, attempt=1, step=step, text=f"step {step}")
    folder = Path(store.uri, "attempt-0001")
    (folder / "step-000040" / COMMIT_NAME).write_bytes(b"")
    (folder / "step-000030" / "a.txt").unlink()
    (folder / "step-000020" / "deep" / "b.txt").write_bytes(b"")
    said = store.discard_damaged()
    assert [c.step for c in store.committed()] == [10]
    assert [line.partition(":")[0] for line in said] == [
        "the checkpoint of step 30 is damaged",
        "the checkpoint of step 20 is damaged",
    ]
    assert "a.txt is missing" in said[0]
    assert store.discard_damaged() == []


def test_the_attempt_before_counts_again_when_the_newest_is_damaged(
    store: CheckpointStore, tmp_path: Path
) -> None:
    commit(store, tmp_path, attempt=1, step=10, text="first")
    commit(store, tmp_path, attempt=2, step=10, text="second")
    Path(store.uri, "attempt-0002", "step-000010", "a.txt").write_text("x")
    store.discard_damaged()
    assert [(c.attempt, c.step) for c in store.committed()] == [(1, 10)]


def test_a_store_without_a_sound_checkpoint_is_empty(
    store: CheckpointStore, tmp_path: Path
) -> None:
    commit(store, tmp_path, attempt=1, step=10, text="one")
    Path(store.uri, "attempt-0001", "step-000010", "a.txt").write_text("x")
    assert len(store.discard_damaged()) == 1
    assert store.committed() == []


def test_files_are_on_the_disk_before_the_mark_is(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    commit(store, tmp_path, attempt=1, step=10, text="one")
    folder = str(Path(store.uri, "attempt-0001", "step-000010"))
    assert [path.removeprefix(folder) for path in flushed] == [
        "/a.txt", "/deep/b.txt", f"/{COMMIT_NAME}.partial", "",
    ]  # fmt: skip
