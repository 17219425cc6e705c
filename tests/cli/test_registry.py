import hashlib
import io
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
    assert "nothing was ever registered at sqlite:///workspace/registry.db" in said.err
    assert "for the storage of a spec: loray registry --spec SPEC ls" in said.err


def test_a_command_in_the_wrong_folder_makes_no_registry_there(loray, workplace: Path):
    for words in (
        ("ls",), ("show", "bot"), ("promote", "bot@1"), ("alias", "bot", "canary", "1"),
        ("rollback", "bot"), ("fsck",), ("gc", "--delete", "--yes"), ("export", "bot@1", "out"),
        ("import", "bot", "nowhere", "--base-model", "base"), ("backup", "kept"), ("rebuild",),
    ):  # fmt: skip
        loray("registry", *words)
    assert not list(workplace.rglob("registry.db*"))
    assert not list(workplace.rglob("identity"))
    assert not (workplace / "kept").exists()


def test_imported_adapters_are_listed_with_their_versions(imported):
    (adapter,) = imported("registry", "ls", "--json").document
    assert adapter == {"name": "bot", "last_version": 2, "aliases": {}}


def test_a_bare_name_shows_all_versions_and_a_reference_one(imported):
    assert [v["number"] for v in imported("registry", "show", "bot", "--json").document] == [1, 2]
    said = imported("registry", "show", "bot@2")
    assert "bot@2  registered" in said.out
    assert "base_model      narrow" in said.out


def test_a_name_that_no_adapter_has_is_not_taken_for_one_without_a_champion(imported):
    said = imported("registry", "show", "bott@champion")
    assert said.code == 1
    assert "bott is not in the registry; `loray registry ls` lists adapters" in said.err
    assert "no alias of it is set" in imported("registry", "show", "bot@champion").err


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


def orphan(workplace: Path, name: bytes = b"nobody's") -> str:
    """A blob that no version needs."""
    digest = hashlib.sha256(name).hexdigest()
    (workplace / "workspace" / "registry" / "sha256" / digest).write_bytes(name)
    return digest


def test_gc_lists_what_would_go_and_deletes_it_only_once_confirmed(imported, workplace: Path):
    digest = orphan(workplace)
    blob = workplace / "workspace" / "registry" / "sha256" / digest
    words = ("registry", "gc", "--grace-hours", "0")
    said = imported(*words)
    assert said.code == 0
    assert "1 files (8 bytes)" in said.out
    assert digest in said.out
    said = imported(*words, "--delete")
    assert (said.code, blob.exists()) == (2, True)
    assert "--yes" in said.err
    assert imported(*words, "--delete", "--json").code == 2
    assert blob.exists()
    said = imported(*words, "--delete", "--yes")
    assert "deleted 1 files" in said.out
    assert not blob.exists()
    assert imported("registry", "fsck").out == "nothing is wrong\n"


@pytest.mark.parametrize(("answer", "is_there"), [("n\n", True), ("y\n", False)])
def test_gc_asks_at_a_terminal(imported, workplace: Path, monkeypatch, answer, is_there):
    blob = workplace / "workspace" / "registry" / "sha256" / orphan(workplace)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    said = imported("registry", "gc", "--grace-hours", "0", "--delete")
    assert "Delete these 1 files" in said.out
    assert blob.exists() is is_there
    assert said.code == int(is_there)


def test_gc_with_another_database_deletes_nothing_and_makes_none(imported, workplace: Path):
    orphan(workplace)
    before = sorted((workplace / "workspace").rglob("sha256/*"))
    for url in ("sqlite:///other.db", "sqlite:///workspace/other.db"):
        words = ("registry", "--url", url, "gc", "--grace-hours", "0", "--delete", "--yes")
        said = imported(*words)
        assert said.code == 1
        assert "RegistryMismatchError" in said.err
        assert " rebuild`" in said.err
    assert sorted((workplace / "workspace").rglob("sha256/*")) == before
    assert not list(workplace.rglob("other.db*"))


def test_a_backup_is_verified_and_restored(imported, workplace: Path):
    assert "2 versions" in imported("registry", "backup", "kept").out
    place = ("registry", "--url", "sqlite:///new.db", "--root", "new")
    said = imported("registry", "restore", "kept")
    assert said.code == 0
    assert "every byte is sound" in said.out
    assert "never written over" in said.err
    assert "--yes restores it" in imported(*place, "restore", "kept").err
    assert not (workplace / "new.db").exists()
    assert imported(*place, "restore", "kept", "--yes").code == 0
    assert imported(*place, "fsck").out == "nothing is wrong\n"
    documents = [imported(*p, "show", "bot", "--json").document for p in (place, ("registry",))]
    assert documents[0] == documents[1]
    said = imported(*place, "restore", "kept", "--yes")
    assert said.code == 1
    assert "never written over" in said.err


def test_a_lost_database_is_rebuilt(imported, workplace: Path):
    imported("registry", "alias", "bot", "canary", "2")
    before = imported("registry", "show", "bot", "--json").document
    for path in (workplace / "workspace").glob("registry.db*"):
        path.unlink()
    assert "loray registry rebuild" in imported("registry", "ls").err
    said = imported("registry", "rebuild")
    assert "1 adapters, 2 versions, 1 aliases, 3 events" in said.out
    assert "nothing was written" in said.out
    assert not (workplace / "workspace" / "registry.db").exists()
    assert imported("registry", "rebuild", "--yes").code == 0
    assert imported("registry", "show", "bot", "--json").document == before
    assert imported("registry", "alias", "bot", "canary", "--json").document["generation"] == 1
    assert imported("registry", "rebuild", "--yes").code == 1


def test_an_older_version_is_promoted_over_a_newer_one_only_by_force(imported):
    from loray.registry import Registry

    registry = Registry("sqlite:///workspace/registry.db", "workspace")
    for version in registry.versions("bot"):
        registry.set_state(version, "evaluated")
        registry.set_state(version, "promotable")
    assert imported("registry", "promote", "bot@2").code == 0
    said = imported("registry", "promote", "bot@1")
    assert said.code == 1
    assert "older than bot@2" in said.err
    assert registry.resolve("bot").number == 2
    assert imported("registry", "promote", "bot@1", "--force").code == 0
    assert registry.resolve("bot").number == 1


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


def test_apply_says_before_it_starts_that_the_registry_is_lost(imported, workplace: Path):
    for path in (workplace / "workspace").glob("registry.db*"):
        path.unlink()
    said = imported("apply", "spec.yaml")
    assert said.code == 1
    assert "RegistryMismatchError" in said.err
    assert " rebuild`" in said.err
    assert not (workplace / "workspace" / ".work").exists()
    assert not list((workplace / "workspace").glob("registry.db*"))
