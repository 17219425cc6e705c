"""The registry over the real S3 protocol; the server is moto, in this process."""

import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from loray.errors import AdapterError, RegistryError, RegistryMismatchError
from loray.registry import Registry
from loray.registry.backup import back_up, restore
from loray.registry.blobs import S3Blobs, open_blobs, put_bytes
from loray.registry.rebuild import rebuild
from tests.registry.histories import live, rows
from tests.registry.versions import promotable, register

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def root(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix in an empty bucket, credentials where AWS's own tools look for them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    bucket = tmp_path.name.replace("_", "-").lower()[:60].strip("-")
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT"))
    return f"s3://{bucket}/lake/loray"


def test_a_version_goes_to_s3_and_comes_back(root: str, local_url: str, tmp_path: Path) -> None:
    registry = Registry(local_url, root)
    version = promotable(registry)
    register(registry, seed=1)
    registry.promote(version)
    folder = registry.fetch(registry.resolve("bot"))
    assert folder.is_relative_to(tmp_path / "home")
    assert sorted(p.name for p in folder.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    registry.export("bot", tmp_path / "out")
    assert registry.fsck() == ()


def test_a_sweep_on_s3_spares_what_versions_need(root: str, local_url: str) -> None:
    registry = Registry(local_url, root)
    assert registry.gc(grace_seconds=0).blobs == ()  # the prefix does not exist yet
    register(registry)
    lost = put_bytes(open_blobs(root), b"nobody's")
    assert registry.gc(dry_run=False).blobs == ()
    assert registry.gc(dry_run=False, grace_seconds=-60).blobs == (lost,)
    assert registry.fsck() == ()


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_row_15_damage_on_s3_is_refused(root: str, local_url: str, damage: str) -> None:
    registry = Registry(local_url, root)
    version = register(registry)
    blobs = S3Blobs(root)
    for entry in list(blobs.entries()):
        if entry.digest == version.digest:
            continue
        if damage == "remove":
            blobs.delete(entry.digest)
            continue
        with blobs._fs.open_output_stream(f"{blobs._base}/{entry.digest}") as stream:
            stream.write(b"something else")
    with pytest.raises(AdapterError, match=r"damaged|missing"):
        registry.fetch(version)
    assert len(registry.fsck()) == 2
    assert not any((blobs.scratch / "fetched").glob("*"))
    assert register(registry) == version
    assert registry.fsck() == ()


def test_registering_again_mends_a_damaged_blob_on_s3(root: str, local_url: str) -> None:
    """A new version must not be made of a blob that has the right size and wrong bytes."""
    registry = Registry(local_url, root)
    version = register(registry)
    blobs = open_blobs(root)
    assert isinstance(blobs, S3Blobs)
    size = {entry.digest: entry.num_bytes for entry in blobs.entries()}
    damaged = max(size, key=lambda digest: (digest != version.digest, size[digest]))
    with blobs._fs.open_output_stream(blobs._key(damaged)) as stream:
        stream.write(b"x" * size[damaged])
    assert [fault.subject for fault in registry.fsck()] == ["bot@1"]
    register(registry, key="again")
    assert registry.fsck() == ()


def test_a_lost_database_is_rebuilt_from_s3(root: str, tmp_path: Path) -> None:
    lost = f"sqlite:///{tmp_path}/lost.db"
    registry = Registry(lost, root)
    live(registry)
    before = rows(lost)
    (tmp_path / "lost.db").unlink()
    with pytest.raises(RegistryMismatchError, match="missing or empty"):
        Registry(lost, root).adapters()
    new = f"sqlite:///{tmp_path}/new.db"
    rebuild(new, root, dry_run=False)
    assert rows(new) == before
    assert Registry(new, root).fsck() == ()


def test_a_backup_of_s3_is_restored_on_s3_and_on_disk(
    root: str, local_url: str, tmp_path: Path
) -> None:
    live(Registry(local_url, root))
    back_up(local_url, root, tmp_path / "backup")
    for place in (f"{root}/second", str(tmp_path / "local")):
        new = f"sqlite:///{tmp_path}/{len(place)}.db"
        restore(tmp_path / "backup", new, place)
        assert rows(new) == rows(local_url)
        assert Registry(new, place).fsck() == ()


def test_one_database_for_two_roots_is_refused_on_s3(root: str, local_url: str) -> None:
    registry = Registry(local_url, root)
    version = register(registry)
    other = Registry(local_url, f"{root}/other")
    for call in (other.fsck, other.adapters, lambda: other.fetch(version)):
        with pytest.raises(RegistryMismatchError, match="holds the files of none"):
            call()
    assert registry.fsck() == ()


def test_a_bucket_that_is_not_there_is_told(root: str, local_url: str) -> None:
    missing = "s3://no-such-bucket-77/lake"
    with pytest.raises(RegistryError, match="the bucket no-such-bucket-77 is not there"):
        Registry(local_url, missing).adapters()
    with pytest.raises(RegistryError, match="the bucket no-such-bucket-77 is not there"):
        register(Registry(local_url, missing))


def test_wrong_credentials_are_told(
    root: str, local_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(local_url, root)
    register(registry)
    with monkeypatch.context() as strict:  # the server checks who asks
        strict.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
        with pytest.raises(RegistryError, match="S3 refused the credentials"):
            Registry(local_url, root).adapters()
        with pytest.raises(RegistryError, match="S3 refused the credentials"):
            register(registry, seed=1)
    assert [v.number for v in registry.versions("bot")] == [1]
    assert registry.fsck() == ()


def test_a_server_that_stopped_is_told(
    root: str, local_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    begin = time.monotonic()
    with pytest.raises(RegistryError, match="S3 does not answer; check the network"):
        Registry(local_url, root).adapters()
    assert time.monotonic() - begin < 60
