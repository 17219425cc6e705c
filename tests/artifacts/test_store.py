from pathlib import Path

import pytest

from loray.artifacts.manifest import MANIFEST_NAME, Manifest, Stage
from loray.artifacts.store import Store, describe
from loray.errors import ArtifactError, LeaseError, SpecError

STAGE = Stage(kind="dataset", name="notes", fingerprint="0123456789ab")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root"))


def make(store: Store, stage: Stage = STAGE, text: str = "hello") -> None:
    work = store.work_folder(stage)
    (work / "rows").mkdir(exist_ok=True)
    (work / "rows" / "part-0.txt").write_text(text)
    store.commit(described(work, stage), work)


def described(work: Path, stage: Stage = STAGE) -> Manifest:
    return describe(
        work,
        stage,
        stage_version=1,
        recipe={"seed": 1},
        inputs={"corpus": "abc"},
        statistics={"rows": 3},
    )


def test_an_artifact_exists_once_its_manifest_does(store: Store) -> None:
    assert store.read_manifest(STAGE) is None
    make(store)
    manifest = store.read_manifest(STAGE)
    assert manifest is not None
    assert [(f.path, f.size) for f in manifest.files] == [("rows/part-0.txt", 5)]
    assert manifest.statistics == {"rows": 3}
    assert (store.fetch(STAGE) / "rows" / "part-0.txt").read_text() == "hello"


@pytest.mark.parametrize("left", [0, 1, 100])
def test_a_manifest_that_was_cut_off_is_named(store: Store, left: int) -> None:
    make(store)
    path = Path(store.location(STAGE)) / MANIFEST_NAME
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ArtifactError, match=rf"{path} is damaged: found {left} bytes.*delete the"):
        store.read_manifest(STAGE)


def test_files_without_a_manifest_are_nothing_and_are_cleared(store: Store, tmp_path: Path) -> None:
    """What a process leaves that is killed between its files and its manifest."""
    left = tmp_path / "root" / STAGE.folder / "rows" / "torn.txt"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    with pytest.raises(ArtifactError, match="never committed"):
        store.fetch(STAGE)
    assert store.committed("dataset", "notes") == []
    make(store)
    assert not left.exists()


def test_the_work_folder_is_gone_after_the_commit(store: Store, tmp_path: Path) -> None:
    make(store)
    assert not (tmp_path / "root" / ".work" / STAGE.folder).exists()


def test_what_another_try_would_go_on_from_stays_until_the_manifest_is_there(store: Store) -> None:
    work = store.work_folder(STAGE)
    for name in ("rows", "attempts"):
        (work / name).mkdir()
        (work / name / "part-0.txt").write_text("hello")
    checks = iter([None, LeaseError("it was taken over")])

    def check() -> None:
        if (error := next(checks)) is not None:
            raise error

    with pytest.raises(LeaseError):
        store.commit(described(work), work, check=check)
    assert store.read_manifest(STAGE) is None
    assert (work / "attempts" / "part-0.txt").read_text() == "hello"
    make(store)
    assert [entry.path for entry in store.read_manifest(STAGE).files] == ["rows/part-0.txt"]
    assert not work.exists()


def test_committed_artifacts_of_a_name_come_oldest_first(store: Store) -> None:
    others = [STAGE.model_copy(update={"fingerprint": mark * 12}) for mark in "ab"]
    longer = STAGE.model_copy(update={"name": "notes-2"})
    for stage in (*others, longer):
        make(store, stage)
    assert [m.stage for m in store.committed("dataset", "notes")] == others


def test_a_manifest_is_written_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash while files are moved leaves no manifest."""
    from loray.artifacts import store as module

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Store, "_write_last", crash)
    with pytest.raises(KeyboardInterrupt):
        make(store)
    assert store.read_manifest(STAGE) is None
    assert not list(Path(store.root).rglob(MANIFEST_NAME))


@pytest.mark.parametrize(
    ("root", "wanted"),
    [
        ("http://169.254.169.254/latest", "neither a local path nor s3"),
        ("file:///etc", "neither a local path nor s3"),
        ("s3://key:secret@bucket/prefix", "holds credentials"),
    ],
)
def test_row_29_other_schemes_and_credentials_are_refused(root: str, wanted: str) -> None:
    with pytest.raises(SpecError, match=wanted) as caught:
        Store(root)
    assert "secret" not in str(caught.value)
