import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loray.errors import (
    AdapterError,
    AdapterNotFoundError,
    AliasMovedError,
    NameRefusedError,
    RegistryError,
)
from loray.registry import Registry
from tests.adapters import write_adapter
from tests.registry.versions import BASE_DIGEST, lineage, promotable, register


def blobs(registry: Registry) -> Path:
    return Path(registry.root) / "registry" / "sha256"


def test_versions_count_from_one_and_say_where_they_come_from(url: str, tmp_path: Path) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    first = register(registry, dataset="d1", checkpoint_step=100, spec_digest="s1")
    second = register(registry, seed=1, parents=("bot@1",))
    assert (first.ref, second.ref, first.state) == ("bot@1", "bot@2", "registered")
    assert registry.versions("bot") == (first, second)
    assert registry.resolve("bot@1") == first
    assert registry.resolve("bot@1").scores == {"perplexity": 1.0}
    assert registry.lineage("bot@2") == (second, first)
    assert first.digest != second.digest
    assert [a.last_version for a in registry.adapters()] == [2]
    assert [e.kind for e in registry.events("bot")] == ["registered", "registered"]
    assert registry.versions("other") == ()


def test_one_key_makes_one_version(registry: Registry) -> None:
    first = register(registry, key="k", evaluation="e1")
    again = register(registry, key="k", evaluation="e2")
    assert again == first
    assert len(registry.versions("bot")) == 1
    with pytest.raises(RegistryError, match="already made bot@1"):
        register(registry, key="k", seed=1)
    with pytest.raises(RegistryError, match="already made bot@1"):
        register(registry, key="k", name="other")
    assert registry.adapters()[0].name == "bot"
    assert len(registry.adapters()) == 1


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "a\0b", ".", "CON", "a" * 300, "b\u043et", "bot\n"]
)
def test_row_05_a_bad_name_touches_nothing(registry: Registry, tmp_path: Path, name: str) -> None:
    folder = write_adapter(tmp_path / "adapter")
    before = sorted(tmp_path.rglob("*"))
    calls = [
        lambda: registry.register(name, folder, idempotency_key="k", lineage=lineage(), scores={}),
        lambda: registry.import_folder(
            name, folder, base_model="models/tiny", base_digest=BASE_DIGEST
        ),
        lambda: registry.resolve(name),
        lambda: registry.resolve(f"bot@{name}"),
        lambda: registry.versions(name),
        lambda: registry.events(name),
        lambda: registry.lineage(name),
        lambda: registry.alias(name, "canary"),
        lambda: registry.alias("bot", name),
        lambda: registry.move_alias(name, "canary", 1, expected_generation=0),
        lambda: registry.move_alias("bot", name, 1, expected_generation=0),
        lambda: registry.rollback(name),
        lambda: registry.export(name, tmp_path / "out"),
    ]
    for call in calls:
        with pytest.raises(NameRefusedError):
            call()
    assert sorted(tmp_path.rglob("*")) == before
    assert registry.events() == ()


@pytest.mark.parametrize("ref", ["bot@9", "bot@canary", "other", "other@1"])
def test_row_06_what_is_not_there_is_not_found_and_says_what_is(
    registry: Registry, ref: str
) -> None:
    registry.promote(promotable(registry))
    with pytest.raises(AdapterNotFoundError, match="loray registry ls"):
        registry.resolve(ref)
    assert not (Path(registry.root) / "registry" / "fetched").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "adapter_model.bin").write_bytes(b"\x80\x04."),
        lambda folder: (folder / "modeling.py").write_text("import os"),
        lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"torn"),
        lambda folder: (folder / "adapter_config.json").write_text('{"r": 4, "r": 8}'),
        lambda folder: (folder / "link").symlink_to("/etc/passwd"),
        lambda folder: os.link(folder / "adapter_config.json", folder.parent / "second"),
    ],
    ids=["row_09", "row_13", "row_10", "row_11", "row_14_link", "row_14_hard_link"],
)
def test_a_folder_that_is_no_plain_adapter_enters_by_no_door(
    registry: Registry, tmp_path: Path, spoil: Any
) -> None:
    folder = write_adapter(tmp_path / "adapter")
    spoil(folder)
    with pytest.raises(AdapterError):
        registry.register("bot", folder, idempotency_key="k", lineage=lineage(), scores={})
    with pytest.raises(AdapterError):
        registry.import_folder("bot", folder, base_model="models/tiny", base_digest=BASE_DIGEST)
    assert registry.adapters() == ()
    assert list(blobs(registry).iterdir()) == []


def test_row_10_weights_that_are_not_finite_are_not_registered(
    registry: Registry, tmp_path: Path
) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    bad = np.full((8, 4), np.nan)
    folder = write_adapter(tmp_path / "adapter", tensors={name: bad})
    with pytest.raises(AdapterError, match="NaN"):
        registry.register("bot", folder, idempotency_key="k", lineage=lineage(), scores={})


@pytest.mark.parametrize("base", ["models/other", "https://hub/x", "models/tiny/", "/models/tiny"])
def test_row_12_an_adapter_of_another_base_is_refused(
    registry: Registry, tmp_path: Path, base: str
) -> None:
    folder = write_adapter(tmp_path / "adapter", base=base)
    with pytest.raises(AdapterError, match="names the base model"):
        registry.register("bot", folder, idempotency_key="k", lineage=lineage(), scores={})
    with pytest.raises(AdapterError, match="names the base model"):
        registry.import_folder("bot", folder, base_model="models/tiny", base_digest=BASE_DIGEST)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "1.0", True])
def test_scores_are_finite_numbers(registry: Registry, tmp_path: Path, score: Any) -> None:
    folder = write_adapter(tmp_path / "adapter")
    with pytest.raises(ValueError, match="scores"):
        registry.register(
            "bot", folder, idempotency_key="k", lineage=lineage(), scores={"rougeL": score}
        )


def test_a_parent_must_be_a_version_that_is_there(registry: Registry) -> None:
    with pytest.raises(AdapterNotFoundError):
        register(registry, parents=("bot@1",))
    with pytest.raises(RegistryError, match="name@number"):
        register(registry, parents=("bot@champion",))
    assert registry.adapters() == ()


def test_a_shared_ancestor_is_listed_once(registry: Registry) -> None:
    register(registry)
    for seed in range(1, 12):  # as a tree, 2**11 nodes
        register(registry, seed=seed, parents=(f"bot@{seed}", f"bot@{max(1, seed - 1)}"))
    found = registry.lineage("bot@12")
    assert [v.number for v in found] == list(range(12, 0, -1))


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


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        (("evaluated", "promotable", "withdrawn"), ("registered", "evaluated", "promotable")),
        (("evaluated", "rejected"), ("evaluated", "promotable")),
        (("rejected", "withdrawn"), ("rejected",)),
        (("evaluated", "promotable"), ("registered", "evaluated", "rejected")),
        ((), ("promotable",)),
    ],
)
def test_states_only_go_forward(
    registry: Registry, path: tuple[Any, ...], refused: tuple[Any, ...]
) -> None:
    version = register(registry)
    for state in path:
        assert registry.set_state(version, state, reason="because").state == state
        assert registry.set_state(version, state).state == state
    for state in refused:
        with pytest.raises(RegistryError, match="cannot become"):
            registry.set_state(version, state)
    events = [e for e in registry.events("bot") if e.kind == "state"]
    assert tuple(e.to_state for e in events) == path
    assert all(e.reason == "because" and e.who and e.at for e in events)


def test_row_27_promotion_without_evaluation_or_gates_is_refused_with_what_is_missing(
    registry: Registry,
) -> None:
    version = register(registry)
    with pytest.raises(RegistryError, match=r"is registered.*evaluate it first"):
        registry.promote(version)
    registry.set_state(version, "evaluated")
    with pytest.raises(RegistryError, match=r"is evaluated.*pass its gates"):
        registry.promote(version, "canary")
    with pytest.raises(RegistryError, match="champion takes promotable versions only"):
        registry.move_alias("bot", "champion", 1, expected_generation=0)
    registry.set_state(version, "withdrawn")
    with pytest.raises(RegistryError, match="is withdrawn"):
        registry.promote(version)
    with pytest.raises(RegistryError, match="is withdrawn"):
        registry.move_alias("bot", "latest", 1, expected_generation=0)
    assert registry.alias("bot", "champion").generation == 0


def test_row_27_of_two_promotions_from_one_generation_the_second_is_told_who_won(
    url: str, tmp_path: Path
) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    first, second = promotable(registry), promotable(registry, seed=1)
    seen = registry.alias("bot", "champion")
    registry.promote(second, expected_generation=seen.generation)
    with pytest.raises(AliasMovedError, match="generation 1 and names bot@2"):
        registry.promote(first, expected_generation=seen.generation)
    assert registry.resolve("bot") == second


def test_a_removed_alias_does_not_come_back_at_an_old_generation(registry: Registry) -> None:
    register(registry)
    registry.move_alias("bot", "canary", 1, expected_generation=0)
    registry.move_alias("bot", "canary", None, expected_generation=1)
    with pytest.raises(AdapterNotFoundError):
        registry.resolve("bot@canary")
    with pytest.raises(AliasMovedError, match="names no version"):
        registry.move_alias("bot", "canary", 1, expected_generation=0)
    assert registry.adapters()[0].aliases == {}
    assert registry.move_alias("bot", "canary", 1, expected_generation=2).generation == 3


def test_an_aliased_version_cannot_go_out_of_use(url: str, tmp_path: Path) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    version = register(registry)
    registry.move_alias("bot", "canary", 1, expected_generation=0)
    for state in ("rejected", "withdrawn"):
        with pytest.raises(RegistryError, match="bot@canary names; move the alias"):
            registry.set_state(version, state)  # type: ignore[arg-type]
    registry.move_alias("bot", "canary", None, expected_generation=1)
    registry.set_state(version, "withdrawn")
    with pytest.raises(RegistryError, match="was withdrawn"):
        registry.fetch(version)
    with pytest.raises(RegistryError, match="was withdrawn"):
        registry.export("bot@1", tmp_path / "out")


def test_rollback_returns_step_by_step_and_never_to_what_it_fled(registry: Registry) -> None:
    versions = [promotable(registry, seed=seed) for seed in range(4)]
    for version in versions:
        registry.promote(version, reason="ship it")
    assert registry.rollback("bot", reason="it rambles", who="ann").version == 3
    registry.set_state(versions[1], "withdrawn")
    assert registry.rollback("bot").version == 1
    with pytest.raises(RegistryError, match="promote a version instead"):
        registry.rollback("bot")
    registry.promote(versions[3])
    assert registry.rollback("bot").version == 1
    last = next(e for e in registry.events("bot") if e.kind == "rollback")
    assert (last.from_version, last.to_version, last.who) == (4, 3, "ann")
    assert last.reason == "it rambles"


def test_reasons_cannot_upset_a_terminal_or_a_database(url: str, tmp_path: Path) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    version = register(registry)
    registry.set_state(version, "rejected", reason="bad\0\x1b[2J\ud800" + "x" * 5000, who="w" * 500)
    event = registry.events("bot")[-1]
    assert event.reason.startswith("bad  [2J x")
    assert (len(event.reason), len(event.who)) == (2000, 200)


def test_events_can_be_followed(registry: Registry) -> None:
    register(registry)
    seen = registry.events()[-1].id
    register(registry, name="other")
    assert [e.name for e in registry.events(after=seen)] == ["other"]
    assert [e.name for e in registry.events("bot")] == ["bot"]


def test_a_registry_can_be_pickled(registry: Registry) -> None:
    version = register(registry)
    again = pickle.loads(pickle.dumps(registry))
    assert again.resolve("bot@1") == version


def test_the_lineage_refuses_what_is_no_digest() -> None:
    with pytest.raises(ValueError, match="base_digest"):
        lineage(base_digest="main")
