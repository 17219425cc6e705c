"""A server tells at its start what is wrong with its registry."""

from pathlib import Path
from typing import Any

import pytest

from loray.errors import RegistryMismatchError
from loray.pipeline.catalog import RegistryCatalog, catalog_of
from loray.registry import Registry
from loray.registry.database import Database
from tests.pipeline.evaluated import publish_seed, spec_in
from tests.registry.versions import BASE_DIGEST, promotable, register


def test_a_catalog_opens_only_over_a_database_and_root_that_belong_together(
    tmp_path: Path,
) -> None:
    spec = spec_in(tmp_path, f"sqlite:///{tmp_path}/registry.db")
    publish_seed(spec, tmp_path, 1)
    assert catalog_of(spec).resolve("bot").ref == "bot@1"
    lost = spec_in(tmp_path, f"sqlite:///{tmp_path}/lost.db")
    with pytest.raises(RegistryMismatchError, match="missing or empty"):
        catalog_of(lost)
    assert not (tmp_path / "lost.db").exists()


def test_a_catalog_of_a_database_that_goes_says_so_and_brings_none_back(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, f"sqlite:///{tmp_path}/registry.db")
    publish_seed(spec, tmp_path, 1)
    catalog = catalog_of(spec)
    version = catalog.resolve("bot")
    for path in tmp_path.glob("registry.db*"):
        path.unlink()
    for question in (
        lambda: catalog.resolve("bot"), catalog.listing, lambda: catalog.folder(version),
    ):  # fmt: skip
        with pytest.raises(RegistryMismatchError, match="missing or empty"):
            question()
    assert list(tmp_path.glob("registry.db*")) == []


def test_a_listing_asks_the_database_as_often_for_many_adapters_as_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/registry.db", str(tmp_path / "root"))
    catalog = RegistryCatalog(registry, base=BASE_DIGEST, alias="champion")
    counts, read = [0], Database.read

    def counted(self: Database, work: Any) -> Any:
        counts[-1] += 1
        return read(self, work)

    for number in range(6):
        version = promotable(registry, name=f"bot-{number}", seed=number)
        registry.promote(version)
        with monkeypatch.context() as patch:
            patch.setattr(Database, "read", counted)
            listed = catalog.listing()
        counts.append(0)
    assert counts[:6] == [2] * 6
    assert [ref for ref, _ in listed[:4]] == ["bot-0", "bot-0@champion", "bot-0@1", "bot-1"]
    assert len(listed) == 18


def test_a_version_that_knows_its_base_by_the_hubs_commit_is_served(tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/registry.db", str(tmp_path / "root"))
    version = register(registry, base_digest=BASE_DIGEST)
    by_files, other = "f" * 64, "0" * 64
    named = RegistryCatalog(registry, base=by_files, former=BASE_DIGEST, alias="champion")
    assert named.resolve(version.ref).version == version.number
    assert [ref for ref, _ in named.listing()] == [version.ref]
    stranger = RegistryCatalog(registry, base=by_files, former=other, alias="champion")
    assert stranger.listing() == []
