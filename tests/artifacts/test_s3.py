"""The same promises over the real S3 protocol."""

import os
from pathlib import Path

import pytest

from loray.artifacts.describe import describe
from loray.artifacts.manifest import Stage
from loray.artifacts.store import Store
from loray.errors import ArtifactError

STAGE = Stage(kind="training", name="notes", fingerprint="0123456789ab")


@pytest.fixture
def store(bucket: str) -> Store:
    return Store(bucket)


def make(store: Store, size: int = 100_000, letter: bytes = b"x") -> None:
    work = store.work_folder(STAGE)
    (work / "checkpoints").mkdir()
    (work / "checkpoints" / "a.bin").write_bytes(letter * size)
    manifest = describe(work, STAGE, stage_version=1, recipe={}, inputs={}, statistics={})
    store.commit(manifest, work)


def test_what_is_committed_to_s3_comes_back_verified(store: Store) -> None:
    make(store)
    assert store.read_manifest(STAGE) is not None
    assert [m.stage for m in store.committed("training", "notes")] == [STAGE]
    folder = store.fetch(STAGE)
    assert (folder / "checkpoints" / "a.bin").read_bytes() == b"x" * 100_000


def test_an_object_changed_behind_the_manifest_is_refused(store: Store, endpoint: str) -> None:
    import boto3

    make(store)
    key = f"{store.root.removeprefix('s3://lake/')}/{STAGE.folder}/checkpoints/a.bin"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.put_object(Bucket="lake", Key=key, Body=b"y" * 100_000)
    with pytest.raises(ArtifactError, match="its manifest says"):
        store.fetch(STAGE)


def fetched_copy(store: Store) -> Path:
    make(store)
    return store.fetch(STAGE) / "checkpoints" / "a.bin"


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_a_fetched_copy_with_a_flipped_byte_is_fetched_again(store: Store, size: int) -> None:
    make(store, size)
    copy = store.fetch(STAGE) / "checkpoints" / "a.bin"
    before = copy.stat()
    copy.chmod(0o600)
    copy.write_bytes(b"y" + b"x" * (size - 1))
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    store.fetch(STAGE)
    assert copy.read_bytes() == b"x" * size


def test_an_artifact_that_was_made_again_replaces_its_fetched_copy(store: Store) -> None:
    """Same fingerprint, same sizes, other bytes: a training on a GPU that was made twice."""
    copy = fetched_copy(store)
    make(store, letter=b"z")
    assert store.fetch(STAGE) / "checkpoints" / "a.bin" == copy
    assert copy.read_bytes() == b"z" * 100_000


def test_objects_are_looked_at_by_size(store: Store, endpoint: str) -> None:
    import boto3

    make(store)
    store.verify(STAGE)
    key = f"{store.root.removeprefix('s3://lake/')}/{STAGE.folder}/checkpoints/a.bin"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.delete_object(Bucket="lake", Key=key)
    with pytest.raises(ArtifactError, match=r"a\.bin is missing"):
        store.verify(STAGE)
