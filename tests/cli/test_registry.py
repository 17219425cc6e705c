import json
from pathlib import Path

import pytest

from tests.adapters import change, write_adapter

DIGEST = "0" * 64


@pytest.fixture
def imported(loray, workplace: Path):
    """Two versions of an adapter that PEFT saved elsewhere."""
    for seed in (1, 2):
        folder = write_adapter(workplace / f"adapter-{seed}", seed=seed, base="narrow")
        assert loray("registry", "import", "bot", str(folder), "--base-model", "narrow").code == 0
    return loray


def test_an_empty_registry_lists_nothing(loray):
    said = loray("registry", "ls")
    assert said.code == 0
    assert said.out == "ADAPTER  VERSIONS  ALIASES\n"


def test_imported_adapters_are_listed_with_their_versions(imported):
    (adapter,) = imported("registry", "ls", "--json").document
    assert adapter == {"name": "bot", "last_version": 2, "aliases": {}}


def test_a_bare_name_shows_all_versions_and_a_reference_one(imported):
    assert [v["number"] for v in imported("registry", "show", "bot", "--json").document] == [1, 2]
    said = imported("registry", "show", "bot@2")
    assert "bot@2  registered" in said.out
    assert "base_model      narrow" in said.out


def test_an_alias_moves_by_compare_and_swap(imported):
    assert imported("registry", "alias", "bot", "canary", "1").code == 0
    said = imported("registry", "alias", "bot", "canary", "2", "--expect", "7")
    assert said.code == 1
    assert "AliasMovedError" in said.err
    shown = imported("registry", "alias", "bot", "canary", "--json").document
    assert (shown["version"], shown["generation"]) == (1, 1)


def test_what_passed_no_gate_is_not_promoted(imported):
    said = imported("registry", "promote", "bot@1")
    assert said.code == 1
    assert "RegistryError" in said.err


def test_an_alias_rolls_back_to_what_it_named_before(imported):
    imported("registry", "alias", "bot", "canary", "1")
    imported("registry", "alias", "bot", "canary", "2")
    said = imported("registry", "rollback", "bot", "--alias", "canary")
    assert said.out.startswith("bot@canary is bot@1")


def test_a_version_is_exported_as_peft_saves_it(imported, workplace: Path):
    assert imported("registry", "export", "bot@1", "out").code == 0
    config = json.loads((workplace / "out" / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"


def test_lineage_leads_back_to_the_base(imported):
    (version,) = imported("registry", "lineage", "bot@1", "--json").document
    assert version["lineage"]["base_model"] == "narrow"


def test_fsck_ends_with_1_when_a_blob_is_damaged(imported, workplace: Path):
    assert imported("registry", "fsck").out == "nothing is wrong\n"
    blob = max((workplace / "workspace").rglob("sha256/**/*"), key=lambda p: p.stat().st_size)
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    said = imported("registry", "fsck", "--json")
    assert said.code == 1
    assert said.document


def test_gc_only_says_what_would_go_until_told_to_delete(imported):
    assert "would go" in imported("registry", "gc").out
    assert "are gone" in imported("registry", "gc", "--delete").out


def test_a_name_that_no_registry_holds_is_refused(loray):
    said = loray("registry", "show", "../etc")
    assert said.code == 1
    assert "NameRefusedError" in said.err


def test_the_storage_of_a_spec_is_used_when_one_is_named(imported, workplace: Path):
    text = (workplace / "spec.yaml").read_text()
    elsewhere = "storage: {root: other, registry: 'sqlite:///other/registry.db'}\n"
    (workplace / "spec.yaml").write_text(text + elsewhere)
    assert imported("registry", "--spec", "spec.yaml", "ls", "--json").document == []


def test_an_import_says_what_was_left_out(loray, workplace: Path):
    folder = write_adapter(workplace / "adapter", base="narrow/")
    for name in ("optimizer.pt", "tokenizer.json", ".gitattributes"):
        (folder / name).write_bytes(b"not read")
    change(folder, some_future_config=None)
    words = ("registry", "import", "bot", "adapter", "--base-model", "narrow")
    said = loray(*words)
    assert said.code == 0
    told = "left out, neither opened nor copied: .gitattributes, optimizer.pt, tokenizer.json"
    assert told in said.out
    assert "left out of adapter_config.json: some_future_config (null)" in said.out
    document = loray(*words, "--json").document
    assert document["left_out"] == [".gitattributes", "optimizer.pt", "tokenizer.json"]
    assert document["notes"] == ["left out of adapter_config.json: some_future_config (null)"]
    assert loray("registry", "export", "bot@1", "out").code == 0
    assert sorted(path.name for path in (workplace / "out").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip


def test_an_import_for_the_same_base_by_another_name(loray, workplace: Path):
    write_adapter(workplace / "adapter", base="unsloth/narrow-bnb-4bit")
    words = ("registry", "import", "bot", "adapter", "--base-model", "narrow")
    said = loray(*words)
    assert (said.code, "--base-is-the-same" in said.err) == (1, True)
    said = loray(*words, "--base-is-the-same")
    assert said.code == 0
    assert "names the base unsloth/narrow-bnb-4bit" in said.out
    assert loray("registry", "export", "bot@1", "out").code == 0
    again = loray("registry", "import", "again", "out", "--base-model", "narrow")
    assert again.code == 0


def test_the_rank_that_a_slot_holds_is_that_of_the_spec(loray, workplace: Path):
    write_adapter(workplace / "adapter", base="narrow")
    text = (workplace / "spec.yaml").read_text()
    small = "serve: {max_rank: 2}\nmethod: {kind: lora, rank: 2}\n"
    (workplace / "small.yaml").write_text(text + small)
    words = ("import", "bot", "adapter", "--base-model", "narrow")
    said = loray("registry", "--spec", "small.yaml", *words)
    assert said.code == 1
    assert "rank 4 at model.layers.0.self_attn.q_proj, and a serving slot holds at most 2" in (
        said.err
    )
    assert loray("registry", "--spec", "small.yaml", *words, "--max-rank", "4").code == 0


def test_an_adapter_of_another_width_is_refused_by_its_module(loray, workplace: Path):
    write_adapter(workplace / "adapter", base="base")
    said = loray("registry", "import", "bot", "adapter", "--base-model", "base")
    assert said.code == 1
    assert "lora_A.weight (4, 8) at model.layers.0.self_attn.q_proj, which has 64 inputs" in (
        said.err
    )
