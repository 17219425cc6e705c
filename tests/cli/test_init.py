import json
from pathlib import Path

import pytest

from loray.cli.initial import adapter_name, starter
from loray.spec.load import load_run_spec, parse_run_spec
from tests.cli.first_files import FILES, REFUSED, lines, pair, user

BASE = ("--base-model", "base")


def test_the_starter_is_a_spec_without_faults(loray):
    said = loray("init", "new.yaml")
    assert said.code == 0
    spec = load_run_spec("new.yaml")
    assert spec.name == "new"
    assert spec.data.sources[0].uri == "data/new/*.jsonl"


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_corpus_of_any_usual_shape_becomes_a_spec_that_is_sound(loray, file):
    file.write(Path(file.name))
    said = loray("init", "new.yaml", *BASE, "--data", file.name)
    assert said.code == 0, said.err
    assert "finds it sound" in said.out
    spec = load_run_spec("new.yaml")
    fields = [source.fields.model_dump(exclude_defaults=True) for source in spec.data.sources]
    assert [
        {**found, **wanted} for found, wanted in zip(fields, file.fields, strict=True)
    ] == fields
    assert "3 rows as the model will see them" in said.out
    assert file.shown in said.out
    checked = loray("validate", "new.yaml")
    assert checked.code == 0, checked.err
    assert "put aside" not in checked.out


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.name)
def test_what_nothing_can_be_made_of_is_refused_with_what_to_do(loray, file):
    file.write(Path(file.name))
    said = loray("init", "new.yaml", *BASE, "--data", file.name)
    assert said.code in (1, 2)
    assert file.words in said.err
    assert not Path("new.yaml").exists()


def test_the_settings_follow_from_the_rows_and_the_base(loray):
    lines(pair)(Path("mine.jsonl"))
    loray("init", "new.yaml", *BASE, "--data", "mine.jsonl")
    spec = load_run_spec("new.yaml")
    assert spec.data.sequence.max_tokens == 128  # bytes are tokens here: 95 to 101 of them
    assert spec.train.steps * spec.train.batch.global_size <= 8 * 24
    assert spec.data.split.validation == spec.data.split.test > 0
    assert spec.evaluate.metrics == ("perplexity", "rougeL", "exact_match")
    assert [gate.metric for gate in spec.gates] == ["perplexity", "rougeL"]
    assert (spec.base_model.dtype, spec.base_model.quantization) == ("float32", "none")
    kinds = [step.kind for step in spec.data.steps]
    assert kinds.index("credentials") < kinds.index("pii")
    text = Path("new.yaml").read_text()
    assert "epochs over about" in text
    assert "float32 fits the" in text.lower()


def test_labels_are_judged_by_exact_match_and_prompts_that_come_again_stay_together(loray):
    FILES_BY_NAME["labels.csv"].write(Path("labels.csv"))
    loray("init", "new.yaml", *BASE, "--data", "labels.csv")
    spec = load_run_spec("new.yaml")
    assert spec.evaluate.metrics == ("perplexity", "exact_match")
    rows = [{"mr": f"box {at // 4}", "ref": f"Open box {at}, please."} for at in range(120)]
    Path("e2e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = loray("init", "e2e.yaml", *BASE, "--data", "e2e.jsonl")
    assert load_run_spec("e2e.yaml").data.sources[0].fields.group == "mr"
    assert "the names say nothing" in said.out
    assert "or, if you mean it: --field prompt=ref --field completion=mr" in said.out


FILES_BY_NAME = {file.name: file for file in FILES}


def test_the_command_line_names_columns_where_the_file_does_not(loray):
    tldr = REFUSED[0]
    tldr.write(Path(tldr.name))
    named = ("--field", "prompt=About: {about}", "--field", "completion=example")
    said = loray("init", "new.yaml", *BASE, "--data", tldr.name, *named)
    assert said.code == 0, said.err
    assert load_run_spec("new.yaml").data.sources[0].fields.prompt == "About: {about}"
    wrong = loray("init", "no.yaml", *BASE, "--data", tldr.name, "--field", "prompt=nothere",
                  "--field", "completion=example")  # fmt: skip
    assert wrong.code == 2
    assert "found no column 'nothere' in tldr.jsonl; there are title, about, example" in wrong.err
    half = loray("init", "no.yaml", *BASE, "--data", tldr.name, "--field", "prompt=about")
    assert half.code == 2
    assert "exactly one shape of row" in half.err


def test_several_files_are_several_sources(loray):
    lines(pair)(Path("a.jsonl"))
    FILES_BY_NAME["messages.jsonl"].write(Path("b.jsonl"))
    assert loray("init", "new.yaml", *BASE, "--data", "a.jsonl", "b.jsonl").code == 0
    assert [s.uri for s in load_run_spec("new.yaml").data.sources] == ["a.jsonl", "b.jsonl"]
    assert "wanted --data before it" in loray("init", "no.yaml", "a.jsonl").err


def test_a_base_without_a_tokenizer_here_has_its_lengths_estimated(loray):
    lines(pair)(Path("mine.jsonl"))
    said = loray("init", "new.yaml", "--base-model", "org/model", "--data", "mine.jsonl")
    assert said.code == 0
    assert "(estimated: no tokenizer is at hand)" in said.out
    assert "which `loray validate` does not take yet" in said.out
    assert load_run_spec("new.yaml").data.sequence.max_tokens >= 32


def test_too_few_rows_to_hold_some_out_are_noted(loray):
    Path("one.jsonl").write_text('{"question": "a?", "answer": "b"}\n')
    said = loray("init", "new.yaml", *BASE, "--data", "one.jsonl")
    assert said.code == 0
    assert "too few to hold some out: 1 unlike row;" in said.out


def test_rows_that_would_be_put_aside_are_counted(loray):
    rows = [{"question": "How?", "answer": "So."}] * 9 + [{"question": "Why?", "answer": " "}]
    rows += [{"question": f"Who is {at}?", "answer": f"Ada {at}."} for at in range(30)]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = loray("init", "new.yaml", *BASE, "--data", "mine.jsonl")
    assert "1 of 40 rows cannot be read (empty_completion)" in said.out
    assert "rows      40, of which about 31 unlike ones will be kept" in said.out


def test_a_bad_file_in_a_folder_is_named(loray):
    Path("corpus").mkdir()
    lines(pair)(Path("corpus/a.jsonl"))
    Path("corpus/b.parquet").write_bytes(b"PAR1" + bytes(50))
    said = loray("init", "new.yaml", *BASE, "--data", "corpus")
    assert said.code == 1
    assert "no readable Parquet file" in said.err
    assert "b.parquet" in said.err


def test_validate_says_which_fields_a_file_seems_to_have(loray):
    lines(pair)(Path("mine.jsonl"))
    loray("init", "new.yaml", *BASE, "--data", "mine.jsonl")
    text = Path("new.yaml").read_text()
    Path("new.yaml").write_text(text.replace("prompt: question,", "prompt: quest,"))
    said = loray("validate", "new.yaml")
    assert said.code == 2
    assert "no value in column 'quest'" in said.err
    assert "seems to have fields: {prompt: question, completion: answer}" in said.err


def test_fields_that_are_right_already_are_not_what_to_correct(loray):
    Path("mine.jsonl").write_text('{"question": "\\ud83d", "answer": "a"}\n')
    said = loray("init", "new.yaml", *BASE, "--data", "mine.jsonl")
    assert "half a surrogate pair" in said.out
    assert "the file seems to have fields" not in said.out
    assert "no row that was looked at would be kept: lone_surrogate (1)" in said.out


@pytest.mark.parametrize(
    ("positions", "wanted"), [(512, 512), (131072, 1024), (None, 1024), ("many", 1024)]
)
def test_the_starters_sequences_fit_the_positions_of_its_base(loray, positions, wanted):
    config = json.loads(Path("base/config.json").read_text())
    Path("base/config.json").write_text(json.dumps(config | {"max_position_embeddings": positions}))
    loray("init", "new.yaml", *BASE)
    spec = load_run_spec("new.yaml")
    assert (spec.data.sequence.max_tokens, spec.serve.max_context) == (wanted, wanted)


def test_sequences_never_exceed_the_positions_of_the_base(loray):
    config = json.loads(Path("base/config.json").read_text())
    Path("base/config.json").write_text(json.dumps(config | {"max_position_embeddings": 96}))
    lines(pair)(Path("mine.jsonl"))
    loray("init", "new.yaml", *BASE, "--data", "mine.jsonl")
    spec = load_run_spec("new.yaml")
    assert (spec.data.sequence.max_tokens, spec.serve.max_context) == (96, 96)


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


def test_a_conversation_whose_roles_are_unknown_is_not_guessed(loray):
    turns = [{"speaker": "a", "text": "b"}, user("c")]
    Path("mine.jsonl").write_text(json.dumps({"dialog": turns, "id": "x"}) + "\n")
    said = loray("init", "new.yaml", *BASE, "--data", "mine.jsonl")
    assert said.code == 2
    assert "column 'dialog' holds lists of objects under names that are not known" in said.err


def test_a_bucket_is_written_down_with_the_columns_that_are_named(loray):
    uri = "s3://bucket/rows/*.parquet"
    said = loray("init", "new.yaml", *BASE, "--data", uri)
    assert said.code == 2
    assert "wanted --field for each column" in said.err
    named = ("--field", "prompt=q", "--field", "completion=a")
    assert loray("init", "new.yaml", *BASE, "--data", uri, *named).code == 0
    (source,) = load_run_spec("new.yaml").data.sources
    assert (source.kind, source.uri, source.fields.prompt) == ("parquet", uri, "q")
    assert loray("init", "no.yaml", *BASE, "--data", uri, *named[:2]).code == 2


def test_what_a_reading_leaves_out_is_noted(loray):
    lines(lambda a, b: {**pair(a, b), "label": True})(Path("kto.jsonl"))
    said = loray("init", "new.yaml", *BASE, "--data", "kto.jsonl")
    assert "'label' is not read: answers that it marks as bad are learned too" in said.out
    FILES_BY_NAME["preferences.jsonl"].write(Path("dpo.jsonl"))
    said = loray("init", "dpo.yaml", *BASE, "--data", "dpo.jsonl")
    assert "the rows are preference pairs; only the chosen answer is learned" in said.out
    FILES_BY_NAME["mixed"].write(Path("mixed"))
    said = loray("init", "mixed.yaml", *BASE, "--data", "mixed")
    assert "README.md: text beside data is not read" in said.out


def test_a_long_row_is_shown_in_part(loray):
    lines(lambda a, b: {"question": a, "answer": "word " * 170 + b})(Path("long.jsonl"))
    said = loray("init", "new.yaml", *BASE, "--data", "long.jsonl")
    assert "]] ... and " in said.out
    assert max(map(len, said.out.splitlines())) < 900
