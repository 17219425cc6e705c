import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loray.errors import (
    AdapterError,
    AdapterNotFoundError,
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
    assert not blobs(registry).exists()


def test_row_10_weights_that_are_not_finite_are_not_registered(
    registry: Registry, tmp_path: Path
) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    bad = np.full((8, 4), np.nan)
    folder = write_adapter(tmp_path / "adapter", tensors={name: bad})
    with pytest.raises(AdapterError, match="NaN"):
        registry.register("bot", folder, idempotency_key="k", lineage=lineage(), scores={})


@pytest.mark.parametrize("base", ["models/other", "https://hub/x", "/models/tiny"])
def test_row_12_an_adapter_of_another_base_is_refused(
    registry: Registry, tmp_path: Path, base: str
) -> None:
    folder = write_adapter(tmp_path / "adapter", base=base)
    with pytest.raises(AdapterError, match="names the base model"):
        registry.register("bot", folder, idempotency_key="k", lineage=lineage(), scores={})
    with pytest.raises(AdapterError, match="names the base model"):
        registry.import_folder("bot", folder, base_model="models/tiny", base_digest=BASE_DIGEST)


@pytest.mark.parametrize("base", ["models/tiny/", "./models/tiny"])
def test_another_spelling_of_the_same_place_is_the_same_base(
    registry: Registry, tmp_path: Path, base: str
) -> None:
    folder = write_adapter(tmp_path / "adapter", base=base)
    registry.import_folder("bot", folder, base_model="models/tiny", base_digest=BASE_DIGEST)
    assert registry.resolve("bot@1").lineage.base_model == "models/tiny"


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
