import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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
    spec = load_run_spec("support bot.yaml")
    assert spec.data.sources[0].uri == "rows.jsonl"
    said = loray("validate", "support bot.yaml")
    assert said.code == 2
    assert "put two of them here" in Path("support bot.yaml").read_text()
    assert "there are ['q', 'a']" in said.err


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


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


TURNS = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
PAIR = {"prompt": "prompt", "completion": "completion"}
FOUND: list[tuple[dict[str, object], dict[str, str]]] = [
    ({"prompt": "a", "completion": "b", "id": 1}, PAIR),
    ({"Question": "a", "Answer": "b"}, {"prompt": "Question", "completion": "Answer"}),
    (
        {"instruction": "a", "input": "", "output": "b"},
        {"prompt": "{instruction}{?\n\n{input}}", "completion": "output"},
    ),
    (
        {"instruction": "a", "input": "i", "output": "b", "history": [["c", "d"]], "system": "s"},
        {
            "prompt": "{instruction}{?\n\n{input}}",
            "completion": "output",
            "system": "system",
            "history": "history",
        },
    ),
    (
        {"instruction": "a", "context": "x", "response": "b", "category": "qa"},
        {"prompt": "{instruction}{?\n\n{context}}", "completion": "response"},
    ),
    ({"messages": [user("a"), assistant("b")]}, {"messages": "messages"}),
    (
        {"chat": [user("a"), assistant("b")], "tools": "[]", "system": "x"},
        {"messages": "chat", "system": "system", "tools": "tools"},
    ),
    ({"conversations": TURNS}, {"messages": "conversations", "format": "sharegpt"}),
    (
        {"conversations": json.dumps(TURNS)},
        {"messages": "conversations", "format": "sharegpt"},
    ),
    ({"prompt": [user("a")], "completion": [assistant("b")]}, PAIR),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "prompt", "completion": "chosen"}),
    ({"prompt": "a", "chosen": [user("a"), assistant("b")]}, {"messages": "chosen"}),
    ({"text": "a", "url": "b"}, {"text": "text"}),
    ({"text": "a", "label": "b"}, {"prompt": "text", "completion": "label"}),
    ({"article": "a", "highlights": "b"}, {"prompt": "article", "completion": "highlights"}),
    ({"input": "a", "output": "b"}, {"prompt": "input", "completion": "output"}),
]


@pytest.mark.parametrize(("row", "fields"), FOUND)
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_the_starter_names_the_columns_that_the_data_has(loray, row, fields, kind):
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), "mine.parquet")
    else:
        Path(f"mine.{kind}").write_text(json.dumps([row] if kind == "json" else row) + "\n")
    said = loray("init", "new.yaml", "--base-model", "base", "--data", f"mine.{kind}")
    assert said.code == 0, said.err
    assert f"has the columns {', '.join(row)}" in said.out
    (source,) = load_run_spec("new.yaml").data.sources
    assert source.kind == ("parquet" if kind == "parquet" else "jsonl")
    assert source.fields.model_dump(exclude_defaults=True) == fields
    checked = loray("validate", "new.yaml")
    assert checked.code == 0, checked.err
    unread = sorted(set(row) - set(source.fields.columns))
    assert ("columns that are not read: " + ", ".join(unread) in checked.out) == bool(unread)


@pytest.mark.parametrize(
    "row",
    [
        {"frage": "a", "antwort": "b"},
        {"a{b}": "x", "c": "y"},
        {"question": 7, "answer": "b"},
        {"dialog": [{"speaker": "a", "text": "b"}]},
        {"no: #yes\n": "x", "c": "y"},
        {"message_id": "a", "role": "prompter", "text": "b"},
    ],
)
def test_columns_that_say_nothing_are_asked_for_by_name(loray, row):
    Path("mine.jsonl").write_text(json.dumps(row))
    said = loray("init", "new.yaml", "--base-model", "base", "--data", "mine.jsonl")
    assert "none has a name that says what it is" in said.out
    assert "# None has a name that says what it is" in Path("new.yaml").read_text()
    checked = loray("validate", "new.yaml")
    assert checked.code == 2
    assert "no value in column 'COLUMN_OF_THE_QUESTION'; there are [" in checked.err


def test_a_csv_file_has_its_delimiter_found(loray):
    Path("mine.csv").write_text("question;answer\na, or b?;c\n")
    loray("init", "new.yaml", "--base-model", "base", "--data", "mine.csv")
    (source,) = load_run_spec("new.yaml").data.sources
    assert (source.kind, source.delimiter) == ("csv", ";")
    assert loray("validate", "new.yaml").code == 0


def test_a_folder_of_text_is_text(loray):
    Path("texts").mkdir()
    Path("texts/a.md").write_text("hello\n")
    assert "holds text" in loray("init", "n.yaml", "--base-model", "base", "--data", "texts").out
    assert loray("validate", "n.yaml").code == 0


def test_validate_names_no_missing_column_of_plain_text(loray):
    Path("a.txt").write_text("hello\n")
    loray("init", "n.yaml", "--base-model", "base", "--data", "a.txt")
    assert "no row seems to have" not in loray("validate", "n.yaml").out


def test_raw_text_beside_other_columns_is_noted(loray):
    Path("mine.jsonl").write_text(json.dumps({"text": "a", "label": 1}))
    said = loray("init", "new.yaml", "--base-model", "base", "--data", "mine.jsonl")
    assert "raw text is learned whole, and no other column with it" in said.out


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b'{"question": "a", "answer": "b"}\n', "no readable Parquet file"),
        (b"PAR1" + bytes(50), "no readable Parquet file"),
    ],
)
def test_a_damaged_parquet_file_is_refused_by_init(loray, data, words):
    Path("mine.parquet").write_bytes(data)
    said = loray("init", "new.yaml", "--base-model", "base", "--data", "mine.parquet")
    assert said.code == 1
    assert words in said.err
    assert not Path("new.yaml").exists()


def test_fields_that_are_right_already_are_not_what_to_correct(loray):
    Path("mine.jsonl").write_text('{"question": "\\ud83d", "answer": "a"}\n')
    loray("init", "new.yaml", "--base-model", "base", "--data", "mine.jsonl")
    said = loray("validate", "new.yaml")
    assert said.code == 2
    assert "half a surrogate pair" in said.err
    assert "the file seems to have fields" not in said.err


def test_data_that_cannot_be_read_is_told_before_a_file_is_written(loray):
    Path("mine.jsonl").write_text('{"a": "b"}', encoding="utf-16")
    said = loray("init", "new.yaml", "--data", "mine.jsonl")
    assert said.code != 0
    assert "iconv -f UTF-16LE" in said.err
    assert not Path("new.yaml").exists()


@pytest.mark.parametrize(
    ("positions", "wanted"), [(512, 512), (131072, 1024), (None, 1024), ("many", 1024)]
)
def test_the_starters_sequences_fit_the_positions_of_its_base(loray, positions, wanted):
    config = json.loads(Path("base/config.json").read_text())
    Path("base/config.json").write_text(json.dumps(config | {"max_position_embeddings": positions}))
    loray("init", "new.yaml", "--base-model", "base")
    spec = load_run_spec("new.yaml")
    assert (spec.data.sequence.max_tokens, spec.serve.max_context) == (wanted, wanted)


def test_the_starter_suits_a_cpu_and_the_order_of_steps_that_the_docs_advise(loray):
    loray("init", "new.yaml")
    spec = load_run_spec("new.yaml")
    assert (spec.base_model.dtype, spec.base_model.quantization) == ("float32", "none")
    assert spec.resources.gpus_per_worker == 0
    kinds = [step.kind for step in spec.data.steps]
    assert kinds.index("credentials") < kinds.index("pii")
    assert "quality" in kinds


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
