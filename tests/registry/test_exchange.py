import json
from pathlib import Path
from typing import Any

import pytest

from loray.errors import AdapterError, RegistryError
from loray.registry import Registry
from tests.adapters import write_adapter
from tests.registry.versions import BASE_DIGEST, lineage, register


def test_export_writes_pefts_own_layout(registry: Registry, tmp_path: Path) -> None:
    register(registry)
    source = write_adapter(tmp_path / "source")
    (tmp_path / "out").mkdir()
    folder = registry.export("bot@1", tmp_path / "out")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        p.name: p.read_bytes() for p in source.iterdir()
    }
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".loray")] == []


def test_export_writes_the_folder_that_ray_serve_looks_for(
    registry: Registry, tmp_path: Path
) -> None:
    register(registry)
    register(registry, seed=1)
    folder = registry.export("bot@2", tmp_path / "out", layout="ray-serve-llm")
    assert folder == tmp_path / "out" / "bot:2"
    registry.export("bot@1", tmp_path / "out", layout="ray-serve-llm")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["bot:1", "bot:2"]


def test_export_overwrites_nothing(registry: Registry, tmp_path: Path) -> None:
    register(registry)
    taken = tmp_path / "out"
    taken.mkdir()
    (taken / "mine").write_text("precious")
    for place in (taken, taken / "mine"):
        with pytest.raises(RegistryError, match="is there already"):
            registry.export("bot@1", place)
    assert [p.name for p in taken.iterdir()] == ["mine"]


def test_an_import_is_idempotent_and_knows_only_its_base(
    registry: Registry, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "adapter")
    versions = {
        registry.import_folder(
            "guest", folder, base_model="models/tiny", base_digest=BASE_DIGEST
        ).ref
        for _ in range(2)
    }
    assert versions == {"guest@1"}
    found = registry.resolve("guest@1")
    assert (found.state, found.scores) == ("registered", {})
    assert found.lineage.model_dump(exclude_none=True) == {
        "base_model": "models/tiny", "base_digest": BASE_DIGEST, "parents": (),
    }  # fmt: skip


def test_what_was_exported_comes_in_again_with_the_same_digest(
    registry: Registry, tmp_path: Path
) -> None:
    first = register(registry)
    folder = registry.export("bot@1", tmp_path / "out")
    again = registry.import_folder(
        "copy", folder, base_model="models/tiny", base_digest=BASE_DIGEST
    )
    assert again.adapter_digest == first.adapter_digest


def blobs(registry: Registry) -> Path:
    return Path(registry.root) / "registry" / "sha256"


def test_fetch_gives_the_files_and_nothing_else(registry: Registry, tmp_path: Path) -> None:
    source = write_adapter(tmp_path / "adapter")
    (source / "README.md").write_text("a card\n")
    version = registry.register("bot", source, idempotency_key="k", lineage=lineage(), scores={})
    folder = registry.fetch(version)
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in source.iterdir())
    assert all((folder / p.name).read_bytes() == p.read_bytes() for p in source.iterdir())
    assert registry.fetch(version) == folder


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
@pytest.mark.parametrize("kind", ["weights", "manifest"])
def test_row_15_a_damaged_blob_is_refused_and_fsck_names_the_version(
    registry: Registry, damage: str, kind: str
) -> None:
    good, version = register(registry), register(registry, seed=1)
    digests = {
        "manifest": version.digest,
        "weights": next(
            p.name for p in blobs(registry).iterdir() if _is_weights_of(registry, version, p)
        ),
    }
    path = blobs(registry) / digests[kind]
    path.chmod(0o644)
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data[:-1] + (b"" if damage == "cut" else bytes([data[-1] ^ 1])))
    with pytest.raises(AdapterError, match=f"{digests[kind]} is (damaged|missing)"):
        registry.fetch(version)
    assert {fault.subject for fault in registry.fsck()} == {"bot@2"}
    assert registry.fetch(good).is_dir()


def _is_weights_of(registry: Registry, version: Any, path: Path) -> bool:
    manifest = json.loads((blobs(registry) / version.digest).read_text())
    return any(
        entry["sha256"] == path.name and entry["path"].endswith(".safetensors")
        for entry in manifest["files"]
    )


@pytest.mark.parametrize(
    "tamper",
    [
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        lambda folder: (folder / "adapter_model.safetensors").unlink(),
        lambda folder: (folder / "extra.py").write_text("import os"),
        lambda folder: (
            (folder / "adapter_config.json").rename(folder.parent / "moved"),
            (folder / "adapter_config.json").symlink_to(folder.parent / "moved"),
        ),
    ],
    ids=["changed", "missing", "extra", "link"],
)
def test_row_15_a_fetched_copy_that_was_tampered_with_is_made_again(
    registry: Registry, tamper: Any
) -> None:
    version = register(registry)
    folder = registry.fetch(version)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    tamper(folder)
    assert {p.name: p.read_bytes() for p in registry.fetch(version).iterdir()} == before


def test_a_damaged_blob_is_healed_by_registering_the_same_content(registry: Registry) -> None:
    version = register(registry)
    for path in blobs(registry).iterdir():
        path.chmod(0o644)
        path.write_bytes(b"damaged")
    assert registry.fsck() != ()
    assert register(registry) == version
    assert registry.fsck() == ()
