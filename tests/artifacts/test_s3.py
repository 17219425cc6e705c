"""The same promises over the real S3 protocol."""

import pytest

from loray.artifacts.manifest import Stage
from loray.artifacts.store import Store, describe
from loray.errors import ArtifactError

STAGE = Stage(kind="training", name="notes", fingerprint="0123456789ab")


@pytest.fixture
def store(bucket: str) -> Store:
    return Store(bucket)


def make(store: Store) -> None:
    work = store.work_folder(STAGE)
    (work / "checkpoints").mkdir()
    (work / "checkpoints" / "a.bin").write_bytes(b"x" * 100_000)
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
