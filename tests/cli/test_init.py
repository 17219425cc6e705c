from pathlib import Path

import pytest

from loray.cli.initial import adapter_name, starter
from loray.spec.load import load_run_spec, parse_run_spec


def test_the_starter_is_a_spec_without_faults(loray):
    said = loray("init", "new.yaml")
    assert said.code == 0
    spec = load_run_spec("new.yaml")
    assert spec.name == "new"
    assert spec.data.sources[0].uri == "data/new/*.jsonl"


def test_the_starter_holds_what_the_command_line_gave(loray):
    loray("init", "support bot.yaml", "--base-model", "base", "--data", "rows.jsonl")
    said = loray("validate", "support bot.yaml")
    assert said.code == 0
    assert "support-bot, a LoRA" in said.out


def test_a_file_that_exists_is_left_alone(loray, workplace: Path):
    before = (workplace / "spec.yaml").read_text()
    said = loray("init", "spec.yaml")
    assert said.code == 2
    assert "nothing was written" in said.err
    assert (workplace / "spec.yaml").read_text() == before


def test_a_folder_that_is_not_there_is_named(loray):
    said = loray("init", "nowhere/new.yaml")
    assert said.code == 2
    assert "no such file or directory" in said.err


@pytest.mark.parametrize("value", ["it's here.jsonl", "yes", "0123", "a: b #c", "*.jsonl", "1e5"])
def test_any_path_survives_being_written_into_the_starter(value: str):
    spec = parse_run_spec(starter("x", value, value))
    assert spec.base_model.path == value
    assert spec.data.sources[0].uri == value


@pytest.mark.parametrize(
    ("file", "name"),
    [("My Bot.yaml", "my-bot"), ("x" * 90 + ".yaml", "x" * 64), ("__.yaml", "my-adapter")],
)
def test_a_files_name_becomes_a_name_that_the_registry_holds(file: str, name: str):
    assert adapter_name(Path(file)) == name


UNCOMMENTED = ("# - {", "# replay", "# tracking", "#   ")
"""How lines begin that are comments of a field, not of a person."""


def test_every_line_that_the_starter_comments_out_is_sound_too():
    lines = starter("x", "base", None).splitlines()
    uncommented = [
        line.replace("# ", "", 1) if line.lstrip().startswith(UNCOMMENTED)
        else line
        for line in lines
    ]  # fmt: skip
    assert uncommented != lines
    spec = parse_run_spec("\n".join(uncommented))
    assert spec.data.replay is not None
    assert len(spec.gates) == 2
    assert spec.tracking.tensorboard is not None
