"""Models of a hub that answers as the real one does, over real HTTP."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loray.errors import LorayError, UnsupportedError
from loray.models.hub_cache import blob_sha256, snapshot_folder
from loray.models.identity import base_digest, revision_digest
from loray.models.pulling.pull_hub import pull_hub
from loray.models.pulling.sources import HubSource
from loray.planner.probe import probe_folder
from tests.bases import write_base
from tests.models.pulling.hub_server import COMMIT, Hub, repository, serve

NEEDED = {
    "model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json", "README.md",
    "LICENSE",
}  # fmt: skip
CHUNK = 10 << 20
"""Bytes that the client writes at once."""
ORG = HubSource("org/model", None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return repository(write_base(tmp_path_factory.mktemp("base") / "base"))


@pytest.fixture
def hub(files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model; the client's constants, read at its import, point to it."""
    from huggingface_hub import constants

    with serve(Hub(dict(files))) as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield hub


def pulled(source: HubSource, folder: Path | None = None):
    return pull_hub(source, folder, probe=lambda f: probe_folder(f).faults, report=lambda _: None)


def test_a_model_is_the_same_by_id_and_by_folder(hub: Hub, tmp_path: Path):
    cached = pulled(ORG)
    copied = pulled(replace(ORG, revision="main"), tmp_path / "copy")
    assert cached.folder == snapshot_folder("org/model", COMMIT)
    assert copied.provenance.revision == cached.provenance.revision == COMMIT
    assert {p.name for p in cached.folder.iterdir()} == NEEDED
    assert {p.name for p in copied.folder.iterdir()} == NEEDED | {"provenance.json"}
    assert blob_sha256(cached.folder / "model.safetensors") == hub.digest("model.safetensors")
    by_id = base_digest("org/model", COMMIT)
    assert by_id == base_digest(str(tmp_path / "copy"))
    (tmp_path / "copy/README.md").write_text("# Another card\n")
    assert by_id == base_digest(str(tmp_path / "copy"))
    shutil.rmtree(tmp_path / "hub")
    assert base_digest("org/model", COMMIT) == revision_digest("org/model", COMMIT) != by_id


def test_what_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path):
    pulled(ORG), pulled(ORG, tmp_path / "copy")
    hub.asked.clear()
    assert not pulled(ORG).is_new
    assert [line.split()[1] for line in hub.asked] == ["/api/models/org/model"]
    hub.asked.clear()
    assert not pulled(replace(ORG, revision=COMMIT)).is_new
    assert not pulled(ORG, tmp_path / "copy").is_new
    assert hub.asked == []


@pytest.fixture
def large(hub: Hub, tmp_path: Path) -> Hub:
    """The same with weights of 23 MB: the client writes them to the disk by 10 MiB."""
    made = write_base(tmp_path / "large", vocab_size=90_000)
    hub.files |= {name: (made / name).read_bytes() for name in ("config.json", "model.safetensors")}
    return hub


def test_a_download_that_breaks_off_goes_on(large: Hub, tmp_path: Path):
    large.cut_after = 12_000_000
    pulled(ORG, tmp_path / "copy")
    assert large.sent("model.safetensors") == ["all", f"bytes={CHUNK}-"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"revision": "nope"}, "has no revision 'nope'"),
        ({"repo": "org/other"}, "shows no model org/model (no token is set)"),
        ({"gated_to": "sesame"}, "is gated, and no token is set; accept its licence"),
        ({"gated_to": "sesame", "token": "hf_b"}, "the account of HF_TOKEN is not on its list"),
        ({"broken": 500}, "the hub answers 500"),
        ({"broken": 429}, "too many requests"),
        ({"swapped": {"model.safetensors": bytes(375_196)}}, "is not what the hub says"),
        ({"offline": True}, "HF_HUB_OFFLINE is set"),
        ({"unreachable": True}, "cannot be reached"),
    ],
)
def test_what_goes_wrong_is_told_with_its_remedy(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict, words: str
):
    from huggingface_hub import constants

    if "token" in state:
        monkeypatch.setenv("HF_TOKEN", state["token"])
    if state.get("offline"):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if state.get("unreachable"):
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for name, value in state.items():
        setattr(hub, name, value)
    with pytest.raises(LorayError) as refused:
        pulled(replace(ORG, revision=state.get("revision")), tmp_path / "copy")
    assert words in str(refused.value)
    assert not (tmp_path / "copy").exists()


def test_a_gated_model_comes_with_the_right_token(hub: Hub, tmp_path: Path, monkeypatch):
    hub.gated_to = "sesame"
    monkeypatch.setenv("HF_TOKEN", "sesame")
    assert pulled(ORG, tmp_path / "copy").is_new


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model.safetensors": None}, "has no model.safetensors (it holds .bin,"),
        ({"config.json": None}, "has no config.json"),
        ({"config.json": b'{"model_type": "falcon"}'}, "can neither train nor serve"),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_is_downloaded(hub: Hub, tmp_path, change, words):
    for name, data in change.items():
        hub.files.pop(name)
        hub.files |= {} if data is None else {name: data}
    with pytest.raises(UnsupportedError) as refused:
        pulled(ORG, tmp_path / "copy")
    assert words in str(refused.value)
    assert hub.sent("model.safetensors") == []
    assert list(tmp_path.glob(".*")) == []


def test_a_pull_that_is_killed_goes_on_where_it_stopped(large: Hub, tmp_path: Path):
    large.stall = threading.Event()
    code = "import sys; from loray.cli.main import main; main(['model', 'pull', 'org/model'])"
    child = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "HF_ENDPOINT": large.url}
    )
    blob = tmp_path / "hub/models--org--model/blobs" / large.digest("model.safetensors")
    partial = blob.with_name(f"{blob.name}.partial")
    while child.poll() is None and not (partial.is_file() and partial.stat().st_size >= CHUNK):
        time.sleep(0.02)
    child.kill()
    child.wait()
    large.stall.set()
    assert partial.stat().st_size == CHUNK
    assert not snapshot_folder("org/model", COMMIT).exists()
    assert pulled(ORG).is_new
    assert large.sent("model.safetensors") == ["all", f"bytes={CHUNK}-"]
    assert probe_folder(snapshot_folder("org/model", COMMIT)).faults == []
