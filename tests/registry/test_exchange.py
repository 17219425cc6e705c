from pathlib import Path

import pytest

from loray.errors import RegistryError
from loray.registry import Registry
from tests.adapters import write_adapter
from tests.registry.versions import BASE_DIGEST, register


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
