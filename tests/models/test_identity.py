"""What counts in a base model's identity."""

import os
from pathlib import Path

import pytest

from loray.errors import ModelError
from loray.models.hub_cache import cache_folder
from loray.models.identity import base_digest, base_digests, revision_digest, tokenizer_digest
from tests.bases import write_base

TINY = "044de5e3ce2e3b4a4b2a80198533b63abfa40fb9ea78df0fe77b256677aa7aeb"
"""models/tiny, as artifacts and registries have known it from the first release on."""


def test_a_folder_keeps_the_name_that_artifacts_know_it_by(repository: Path):
    assert base_digest(str(repository / "models/tiny")) == TINY


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("config.json", True), ("generation_config.json", True), ("tokenizer.json", True),
        ("chat_template.jinja", True), ("model.safetensors", True), ("added_tokens.json", True),
        ("README.md", False), ("provenance.json", False), ("trainer_state.json", False),
        ("consolidated.safetensors", False),
    ],
)  # fmt: skip
def test_what_transformers_reads_counts_and_nothing_else(name: str, counts: bool, tmp_path: Path):
    folder = write_base(tmp_path / "base")
    before = base_digest(str(folder))
    (folder / name).write_bytes(
        (folder / name).read_bytes() + b" " if (folder / name).exists() else b"{}"
    )
    assert (base_digest(str(folder)) != before) == counts


def test_weights_do_not_count_for_a_tokenizer(tmp_path: Path):
    folder = write_base(tmp_path / "base")
    before = tokenizer_digest(str(folder))
    (folder / "model.safetensors").write_bytes(b"others")
    assert tokenizer_digest(str(folder)) == before
    (folder / "tokenizer_config.json").write_text("{}")
    assert tokenizer_digest(str(folder)) != before


def test_a_hub_id_without_files_goes_by_its_commit(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    named = revision_digest("org/model", "c" * 40)
    assert base_digest("org/model", "c" * 40) == named
    assert base_digests("org/model", "c" * 40) == {named}
    with pytest.raises(ModelError, match=r"needs base_model\.revision"):
        base_digest("org/model")


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "~/b"}, "/mine/b/hub"),
        ({"HF_HOME": "$DISK/hf", "DISK": "/big"}, "/big/hf/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, "/mine/.cache/huggingface/hub"),
    ],
)
def test_the_hubs_cache_is_where_its_client_has_it(variables, wanted: str, monkeypatch):
    for name in [*os.environ]:
        if name.startswith(("HF_H", "XDG_C", "HUGGING")):
            monkeypatch.delenv(name)
    for name, value in {"HOME": "/mine", **variables}.items():
        monkeypatch.setenv(name, value)
    assert str(cache_folder()) == wanted
