"""The registry over the real S3 protocol; the server is moto, in this process."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from loray.errors import AdapterError
from loray.registry import Registry
from loray.registry.blobs import S3Blobs, open_blobs, put_bytes
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
