"""What the registry makes of a cut version: a child that has yet to prove itself."""

from pathlib import Path

import pytest

from loray.errors import AdapterError, RegistryError
from loray.models.adapter_files import check_adapter_folder
from loray.registry import Registry
from loray.registry.derive import derive, how_made, lineage_from
from loray.registry.truncate import truncate_version
from tests.adapters import write_adapter
from tests.registry.versions import promotable, register


def test_a_cut_version_comes_next_and_names_its_parent_and_how_it_was_made(
    registry: Registry,
) -> None:
    parent = promotable(registry, dataset="d" * 12, training="t" * 12, evaluation="e" * 12)
    made = truncate_version(registry, parent, rank=2, keep=0.99)
    version = registry.resolve("bot@2")
    assert version == made.version
    assert version.lineage.parents == ("bot@1",)
    assert version.lineage.base_digest == parent.lineage.base_digest
    assert [each.ref for each in registry.lineage("bot@2")] == ["bot@2", "bot@1"]
    assert how_made(registry, version).startswith("cut from rank 4 to 2, by singular values")
    assert f"relative error {made.truncation.relative_error:.4g}" in how_made(registry, version)
    assert how_made(registry, parent) == ""
    assert check_adapter_folder(registry.fetch(version)).r == 2
    assert made.new_bytes < made.old_bytes
    assert registry.fsck() == ()


def test_nothing_that_the_parent_earned_is_inherited(registry: Registry) -> None:
    parent = promotable(registry, evaluation="e" * 12)
    registry.promote(parent)
    version = truncate_version(registry, parent, rank=2, keep=0.99).version
    assert (version.state, version.scores, version.lineage.evaluation) == ("registered", {}, None)
    assert registry.resolve("bot").number == 1
    with pytest.raises(RegistryError, match="registered"):
        registry.promote(version)


def test_cutting_twice_makes_one_version_and_cutting_otherwise_another(registry: Registry) -> None:
    parent = register(registry)
    numbers = [
        truncate_version(registry, parent, rank=rank, keep=0.99).version.number
        for rank in (2, 2, 3, 2)
    ]
    assert numbers == [2, 2, 3, 2]


def test_a_cut_version_can_be_cut_again(registry: Registry) -> None:
    first = truncate_version(registry, register(registry), rank=3, keep=0.99).version
    second = truncate_version(registry, first, rank=1, keep=0.99).version
    direct = truncate_version(registry, registry.resolve("bot@1"), rank=1, keep=0.99)
    assert second.lineage.parents == ("bot@2",)
    assert direct.version.number == 4
    assert direct.truncation.ranks == (4, 1)


def test_a_refused_cut_leaves_no_version(registry: Registry) -> None:
    parent = register(registry)
    with pytest.raises(AdapterError, match="was to be cut to 4"):
        truncate_version(registry, parent, rank=4, keep=0.99)
    with pytest.raises(AdapterError, match="nothing to cut"):
        truncate_version(registry, parent, rank=None, keep=0.9999)
    assert len(registry.versions("bot")) == 1


def test_a_withdrawn_version_is_not_cut(registry: Registry) -> None:
    parent = registry.set_state(register(registry), "withdrawn")
    with pytest.raises(RegistryError, match="was withdrawn"):
        truncate_version(registry, parent, rank=2, keep=0.99)


def test_versions_of_two_bases_have_no_child_together(registry: Registry, tmp_path: Path) -> None:
    one = register(registry)
    other = register(registry, name="cat", seed=1, base_digest="c" * 64)
    folder = write_adapter(tmp_path / "adapter", seed=9)
    with pytest.raises(RegistryError, match=r"bot@1 is for models/tiny, cat@1 is for"):
        derive(registry, "both", folder, parents=(one, other), how="mixed")
    with pytest.raises(RegistryError, match="found none"):
        lineage_from(())


def test_a_child_of_two_parents_names_both(registry: Registry, tmp_path: Path) -> None:
    parents = (register(registry), register(registry, name="cat", seed=1))
    folder = write_adapter(tmp_path / "adapter", seed=9)
    made = derive(registry, "both", folder, parents=parents, how="mixed")
    assert made.lineage.parents == ("bot@1", "cat@1")
    assert {each.ref for each in registry.lineage("both@1")} == {"both@1", "bot@1", "cat@1"}
