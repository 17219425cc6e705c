"""`loray model`: what is here, what it is, and whether it can be used."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bases import write_base
from tests.planner.broken_bases import text

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_bases_below_models_and_in_the_hubs_cache_are_listed(loray, workplace: Path):
    write_base(workplace / "models/mine")
    text("model.safetensors", "")(write_base(workplace / "models/torn"))
    snapshot = workplace / "hub/models--org--big/snapshots" / ("c" * 40)
    write_base(snapshot)
    said = loray("model", "ls", "--json")
    found = {base["name"]: base for base in said.document}
    assert {name: base["usable"] for name, base in found.items()} == {
        "models/mine": True, "models/torn": False, "org/big": True,
    }  # fmt: skip
    assert found["org/big"]["revision"] == "c" * 40
    assert found["models/mine"]["parameters"] == 93_248
    assert "org/big      cccccccccccc  llama  93,248" in loray("model", "ls").out


def test_nothing_to_list_says_how_to_get_one(loray):
    said = loray("model", "ls")
    assert (said.code, "loray model pull smollm2" in said.err) == (0, True)


def test_a_base_is_shown_with_its_identity_and_memory(loray, workplace: Path):
    from loray.models.identity import base_digest

    (workplace / "base/README.md").write_text("---\nlicense: mit\n---\n")
    said = loray("model", "show", "base", "--json")
    assert said.document["identity"] == base_digest(str(workplace / "base"))
    assert (said.document["licence"], said.document["positions"]) == ("mit", 4096)
    assert all(size["train_bytes"] > 0 for size in said.document["memory"].values())
    words = loray("model", "show", "base").out
    assert "architecture LlamaForCausalLM (llama)" in words
    assert "GPU, 4-bit (QLoRA)" in words


def test_a_check_ends_with_0_or_2(loray, workplace: Path):
    assert loray("model", "check", "base").out.startswith("base can be trained on and served")
    text("model.safetensors", "")(workplace / "base")
    said = loray("model", "check", "base", "--json")
    assert (said.code, said.document["usable"]) == (2, False)
    assert "found a file of 0 bytes" in said.document["faults"][0]


@pytest.mark.parametrize("words", [("show", "org/none"), ("check", "smollm2"), ("pull", "gpt2")])
def test_what_is_not_there_is_told_in_a_line(loray, words):
    said = loray("model", *words)
    assert (said.code, said.out) == (2, "")
    assert "loray model pull" in said.err or "wanted one of" in said.err
    assert len(said.err.splitlines()) == 1


def test_two_revisions_of_an_id_are_told_apart(loray, workplace: Path):
    for commit in ("a" * 40, "b" * 40):
        write_base(workplace / "hub/models--org--big/snapshots" / commit)
    said = loray("model", "check", "org/big")
    assert (said.code, "org/big@aaaaaaaaaaaa, org/big@bbbbbbbbbbbb" in said.err) == (2, True)
    assert loray("model", "check", "org/big@b").code == 0


def test_the_list_needs_no_torch(workplace: Path):
    write_base(workplace / "models/mine")
    code = (
        "import sys; from loray.cli.main import main; main(['model', 'ls']);"
        "sys.exit(bool({'torch', 'transformers', 'ray', 'huggingface_hub'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
