"""What a user sees of a base that cannot be used: all faults, exit code 2, no traceback."""

from pathlib import Path

import pytest

from tests.bases import write_base, write_tokenizer
from tests.planner.broken_bases import BROKEN, SOUND, config, text

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("verb", ["validate", "plan"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_base_that_cannot_be_used_is_refused(loray, workplace: Path, name: str, verb: str):
    change, words = BROKEN[name]
    change(workplace / "base")
    said = loray(verb, "spec.yaml")
    assert said.code == 2
    assert "spec.yaml:2" in said.err
    for word in words:
        assert word in said.err


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_base_is_taken(loray, workplace: Path, name: str):
    SOUND[name](workplace / "base")
    said = loray("validate", "spec.yaml")
    assert (said.code, said.err) == (0, "")


def test_an_import_for_a_base_that_cannot_be_used_is_refused(loray, workplace: Path):
    from tests.adapters import write_adapter

    write_adapter(workplace / "adapter", base="narrow")
    text("model.safetensors", "")(workplace / "narrow")
    said = loray("registry", "import", "bot", "adapter", "--base-model", "narrow")
    assert (said.code, "found a file of 0 bytes" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("template", "word"),
    [
        (None, "template"),
        ("{% for m in messages %}{{ m['content'] | upper }}{% endfor %}", "no row of chat"),
        ("{% for m in messages %", "template"),
        ("{{ raise_exception('no') }}", "no row of chat"),
    ],
)
def test_a_template_that_cannot_be_learned_with_is_refused(
    loray, workplace: Path, template: str | None, word: str
):
    write_tokenizer(workplace / "base", chat_template=template)
    said = loray("validate", "spec.yaml")
    assert said.code == 2
    assert "base_model.path" in said.err
    assert word in said.err


def test_faults_of_base_and_sources_are_told_together(loray, workplace: Path):
    config(eos_token_id=999)(workplace / "base")
    (workplace / "rows.jsonl").write_text('{"x": 1}\n')
    said = loray("validate", "spec.yaml", "--json")
    paths = [fault["path"] for fault in said.document["error"]["faults"]]
    assert [path.split(".")[0] for path in paths] == ["base_model", "data"]


@pytest.mark.parametrize(
    ("files", "word"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "registry --spec spec.yaml import"),
        (["snapshot/config.json"], "its folders snapshot have one"),
        (["model-q4.gguf"], "only GGUF files"),
        ([], "without a config.json"),
    ],
)
def test_a_folder_that_is_no_base_says_what_it_is(loray, workplace: Path, files, word: str):
    for name in files:
        (workplace / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (workplace / "other" / name).write_text("{}")
    (workplace / "other").mkdir(exist_ok=True)
    said = loray("validate", "spec.yaml", "--set", "base_model.path=other")
    assert said.code == 2
    assert word in said.err


def test_more_tokens_than_positions_are_told(loray, workplace: Path):
    write_base(workplace / "base", max_position_embeddings=512)
    said = loray("validate", "spec.yaml")
    assert said.code == 0
    assert "data.sequence.max_tokens is 1,024, the base model was made for 512" in said.out
    assert "data.sequence.max_tokens is 1,024" in loray("plan", "spec.yaml").out
