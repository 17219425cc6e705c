"""A server tells at its start what is wrong with its registry."""

from pathlib import Path

import pytest

from loray.errors import RegistryMismatchError
from loray.pipeline.catalog import catalog_of
from tests.pipeline.evaluated import publish_seed, spec_in


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
