import os
from pathlib import Path

import pytest

from loray.artifacts.describe import describe
from loray.artifacts.manifest import MANIFEST_NAME, Manifest, Stage
from loray.artifacts.store import Store
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


def only_file(store: Store) -> Path:
    return Path(store.root) / STAGE.folder / "rows" / "part-0.txt"


def flip(path: Path) -> None:
    """Change one byte, and neither the size nor the modification time."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGES = {
    "flipped": (flip, "has SHA-256"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"."), "has"),
    "gone": (lambda path: path.unlink(), "is missing"),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("size", [5, 2_000_000])
def test_a_local_artifact_is_verified_when_it_is_read(store: Store, name: str, size: int) -> None:
    make(store, text="h" * size)
    store.fetch(STAGE)
    damage, wanted = DAMAGES[name]
    damage(only_file(store))
    for read in (store.fetch, store.verify):
        with pytest.raises(ArtifactError, match=wanted) as caught:
            read(STAGE)
        assert "rows/part-0.txt" in str(caught.value)
        assert "delete the folder and run `loray apply`" in str(caught.value)


def test_what_is_not_wanted_is_not_looked_at(store: Store) -> None:
    make(store)
    flip(only_file(store))
    assert store.fetch(STAGE, without="rows/")


@pytest.mark.parametrize("name", ["cut", "longer", "gone"])
def test_a_look_at_names_and_sizes_finds_what_is_missing_or_cut(store: Store, name: str) -> None:
    make(store)
    manifest = store.read_manifest(STAGE)
    assert manifest is not None
    store.check_sizes(manifest)
    DAMAGES[name][0](only_file(store))
    with pytest.raises(ArtifactError, match="part-0"):
        store.check_sizes(manifest)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": 1}'])
def test_a_damaged_manifest_is_named_and_stands_in_nobodys_way(
    store: Store, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = STAGE.model_copy(update={"fingerprint": "a" * 12})
    for stage in (STAGE, other):
        make(store, stage)
    manifest = Path(store.root) / STAGE.folder / MANIFEST_NAME
    manifest.write_text(text)
    with pytest.raises(ArtifactError, match=f"{STAGE.folder} is damaged: manifest.json"):
        store.read_manifest(STAGE)
    assert [m.stage for m in store.committed("dataset", "notes")] == [other]
    assert STAGE.folder in caplog.text


def test_only_their_owner_reads_rows(store: Store) -> None:
    make(store)
    work = store.work_folder(STAGE)
    file = only_file(store)
    for path in (work, work.parent, file.parent, file.parent.parent, Path(store.root)):
        assert path.stat().st_mode & 0o777 == 0o700, path
    for path in (file, file.parent.parent / MANIFEST_NAME):
        assert path.stat().st_mode & 0o777 == 0o600, path
