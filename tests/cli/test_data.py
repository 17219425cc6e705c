import json
from pathlib import Path

import pytest

from loray.cli.exits import Exit
from loray.spec import yaml12
from loray.spec.load import load_run_spec
from tests.data.review.made import make_dataset

pytestmark = pytest.mark.filterwarnings("default")  # of transformers

SPEC = """\
name: my-bot
base_model: {path: base, quantization: none}
data:
  sources: [{kind: jsonl, uri: rows.jsonl, fields: {prompt: q, completion: a}}]
  steps: [{kind: pii}, {kind: quality}, {kind: exact_duplicates}]
  sequence: {max_tokens: 128}
train: {steps: 100}
"""
OPEN_FENCE = "here it is:\n```python\nprint('hello')"
ROWS = [
    *({"q": f"what is {n}?", "a": f"it is {n}"} for n in range(60)),
    {"q": "where?", "a": "write to jane.roe@gmail.com"},
    {"q": "show me", "a": OPEN_FENCE},
    {"q": "show me more", "a": OPEN_FENCE},
    {"q": "what is 3?", "a": "it is 3"},
]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from loray.quickstart.initialise import train_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(None, 300, 512).save_pretrained(folder)
    return folder


@pytest.fixture
def corpus(workplace: Path, tokenizer: Path) -> Path:
    """The workplace with a real tokenizer, and rows of several kinds."""
    for file in tokenizer.iterdir():
        (workplace / "base" / file.name).write_bytes(file.read_bytes())
    lines = [json.dumps(row) for row in ROWS]
    (workplace / "rows.jsonl").write_text("\n".join([*lines, "no json", ""]))
    (workplace / "spec.yaml").write_text(SPEC)
    return workplace


@pytest.fixture
def dataset(corpus: Path) -> Path:
    """The folder of the dataset, committed."""
    return make_dataset(load_run_spec(corpus / "spec.yaml"))


@pytest.mark.parametrize("words", [["report"], ["quarantine", "list"], ["quarantine", "show"]])
def test_without_a_dataset_a_verb_says_how_to_make_one(loray, corpus, words: list[str]):
    said = loray("data", *words, "spec.yaml")
    assert said.code == Exit.FAILED
    assert "run `loray apply spec.yaml` to make it" in said.err


def test_status_names_a_dataset_with_a_lost_file_as_damaged(loray, dataset):
    (dataset / "eval" / "test.parquet").unlink()
    row = loray("status", "spec.yaml", "--json").document["stages"][0]
    assert row["state"] == "damaged"
    assert "eval/test.parquet is missing; restore it from a backup" in row["about"]


def test_a_spec_in_place_of_a_command_is_met_with_what_to_write(loray, workplace):
    said = loray("data", "quarantine", "spec.yaml")
    assert said.code == Exit.WRONG_SPEC
    assert "found 'spec.yaml'; wanted one of export, list, readmit, show" in said.err
    assert "such as: loray data quarantine list my-bot.yaml" in said.err
    assert loray("data", "quarantine", "--help").code == 0


def test_a_preview_marks_what_is_learned(loray, dataset):
    said = loray("data", "preview", "spec.yaml", "--rows", "2")
    assert said.code == 0
    first, *rest = said.out.splitlines()
    assert first == "[[learned]]   context   {{control token}}"
    assert sum(line.startswith("--- sources.0/rows.jsonl:") for line in rest) == 2
    assert "[[it is " in said.out
    assert "}}]]" in said.out, "the end of the answer is learned, and a control token"


def test_a_preview_as_json_has_every_span(loray, dataset):
    document = loray("data", "preview", "spec.yaml", "--json", "--rows", "3").document
    assert document["from"] == "dataset"
    assert len(document["rows"]) == 3
    row = document["rows"][0]
    learned = "".join(span["text"] for span in row["spans"] if span["learned"])
    assert learned.startswith("it is ") or "EMAIL" in learned
    again = loray("data", "preview", "spec.yaml", "--json", "--id", row["id"]).document
    assert again["rows"] == [row]


def test_a_preview_before_there_is_a_dataset_reads_the_sources_and_says_so(loray, corpus):
    said = loray("data", "preview", "spec.yaml", "--rows", "2")
    assert said.code == 0
    assert said.out.startswith("the dataset is not made: these are the first rows")
    assert "[[it is " in said.out
    asked = loray("data", "preview", "spec.yaml", "--id", "0" * 16)
    assert asked.code == Exit.WRONG_SPEC
    assert "run `loray apply spec.yaml`" in asked.err


def test_a_preview_shows_what_a_step_changed(loray, corpus):
    words = ("data", "preview", "spec.yaml", "--rows", "100", "--changes")
    before = loray(*words, "--json").document["rows"]
    make_dataset(load_run_spec(corpus / "spec.yaml"))
    after = loray(*words, "--json").document["rows"]
    for rows in (before, after):
        (row,) = (row for row in rows if row["changed_by"] == ["pii"])
        (change,) = row["changes"]
        assert (change["step"], change["before"]) == ("pii", ROWS[60]["a"])
    said = loray(*words)
    assert (
        "  pii, assistant:\n    - write to jane.roe@gmail.com\n    + write to <EMAIL_" in said.out
    )


def test_a_report_is_one_page_where_it_is_wanted(loray, dataset, corpus):
    said = loray("data", "report", "spec.yaml")
    assert said.code == 0
    assert "65 rows in, 61 kept, 4 put aside" in said.out
    assert (corpus / "my-bot-data.html").read_text().startswith("<!doctype html>")
    document = loray("data", "report", str(dataset), "--json", "--out", "page.html").document
    assert document["file"] == "page.html"
    assert document["statistics"]["rows"]["kept"] == 61
    assert set(document["lengths"]) == {"whole", "prompt", "answer"}
    assert (corpus / "page.html").read_bytes() == (corpus / "my-bot-data.html").read_bytes()
    gone = loray("data", "report", "spec.yaml", "--out", "gone/page.html")
    assert gone.code == Exit.FAILED
    assert "found no folder gone" in gone.err


def test_the_quarantine_is_counted_by_reason(loray, dataset):
    said = loray("data", "quarantine", "list", "spec.yaml")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["REASON", "FROM", "SOURCE", "ROWS"]
    assert lines[1] == ["truncated", "quality", "sources.0", "2"]
    document = loray("data", "quarantine", "list", str(dataset), "--json").document
    assert document["rows"] == 4
    assert document["counts"][0] == {
        "reason": "truncated", "from": "quality", "source": "sources.0", "rows": 2,
    }  # fmt: skip


def test_rows_of_the_quarantine_are_shown_with_their_place(loray, dataset):
    said = loray("data", "quarantine", "show", "spec.yaml", "--reason", "truncated", "--limit", "1")
    assert "--- sources.0/rows.jsonl:6" in said.out
    assert "there are more; --limit" in said.out
    said = loray("data", "quarantine", "show", "spec.yaml", "--contains", "no JSON", "--json")
    (row,) = said.document
    assert (row["line"], row["reason"], row["raw"]) == (65, "malformed_json", "no json")


def test_the_quarantine_is_exported_as_lines(loray, dataset, corpus):
    said = loray("data", "quarantine", "export", "spec.yaml", "out.jsonl", "--reason", "truncated")
    assert said.out == "wrote 2 rows to out.jsonl\n"
    rows = [json.loads(line) for line in (corpus / "out.jsonl").read_text().splitlines()]
    assert {row["line"] for row in rows} == {62, 63}


@pytest.mark.parametrize(
    ("options", "count"), [((), 2), (("--contains", "more"), 1), (("--by-id",), 2)]
)
def test_the_rule_that_is_printed_brings_its_rows_back(
    loray, dataset, corpus, options: tuple[str, ...], count: int
):
    words = ("data", "quarantine", "readmit", "spec.yaml", "--reason", "truncated", *options)
    said = loray(*words)
    assert said.code == 0
    assert said.out.startswith(f"# {count} rows today.")
    block = yaml12.read(said.out, "printed").data["data"]
    assert (corpus / "spec.yaml").read_text() == SPEC, "it edits nothing"
    rule = f"  readmit: {json.dumps(block['readmit'])}\n"
    (corpus / "spec.yaml").write_text(SPEC.replace("  steps:", f"{rule}  steps:"))
    again = make_dataset(load_run_spec(corpus / "spec.yaml"))
    found = loray("data", "diff", str(dataset), "spec.yaml", "--json").document
    assert {kind: n for kind, n in found["counts"].items() if n} == {"reason": count}
    assert again != dataset


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--reason", "exact_duplicate"), "another row is kept in its stead"),
        (("--reason", "toxicity"), "which no step of data.steps gives"),
        ((), "found no --reason"),
        (("--reason", "refusal"), "no row in the quarantine is like that"),
    ],
)
def test_no_rule_is_printed_where_none_would_help(loray, dataset, options, why: str):
    said = loray("data", "quarantine", "readmit", "spec.yaml", *options)
    assert said.code == Exit.WRONG_SPEC
    assert why in said.err
    assert said.out == ""


def test_what_a_failed_try_put_aside_can_be_looked_at(loray, dataset, corpus):
    from loray.artifacts.store import Store
    from loray.pipeline.recipe import dataset_recipe

    spec = load_run_spec(corpus / "spec.yaml", ["seed=7"])
    work = Store(spec.storage.root).work_folder(dataset_recipe(spec).stage)
    (dataset / "quarantine").rename(work / "quarantine")
    said = loray("data", "quarantine", "list", "spec.yaml", "--set", "seed=7")
    assert said.code == 0
    assert "the dataset is not made; " in said.err
    assert "truncated" in said.out


def test_two_datasets_are_compared(loray, dataset, corpus):
    make_dataset(load_run_spec(corpus / "spec.yaml", ["data.steps=[]"]))
    said = loray("data", "diff", str(dataset), "spec.yaml", "--set", "data.steps=[]")
    assert said.code == 0
    rows = {line.split()[0]: line.split()[1] for line in said.out.splitlines()[1:8]}
    assert rows == {
        "same": "61", "added": "0", "removed": "0", "moved": "0", "text": "1", "split": "0",
        "reason": "3",
    }  # fmt: skip
    assert "  truncated -> kept" in said.out
    assert "  - " in said.out


def test_a_folder_takes_no_overrides(loray, dataset):
    said = loray("data", "report", str(dataset), "--set", "seed=1")
    assert said.code == Exit.WRONG_SPEC
    assert "leave out --set" in said.err


def test_a_folder_that_is_no_dataset_is_refused(loray, corpus):
    said = loray("data", "report", "base")
    assert said.code == Exit.FAILED
    assert "base holds no manifest.json" in said.err


def test_a_preview_says_which_rows_and_columns_it_leaves_out(loray, corpus):
    lines = [json.dumps({**row, "tag": "x"}) for row in ROWS[:60]]
    (corpus / "rows.jsonl").write_text("\n".join(lines))
    said = loray("data", "preview", "spec.yaml", "--rows", "100")
    assert "sources.0: columns that are not read: tag" in said.out
    assert "row(s) among these are in the validation split: --split validation shows" in said.out
    shown = said.out.count("--- sources.0/rows.jsonl:")
    elsewhere = loray("data", "preview", "spec.yaml", "--rows", "100", "--json").document
    assert shown + sum(elsewhere["elsewhere"].values()) == 60


def test_a_report_names_columns_that_are_not_read(loray, corpus):
    lines = [json.dumps({**row, "tag": "x"}) for row in ROWS[:60]]
    (corpus / "rows.jsonl").write_text("\n".join(lines))
    make_dataset(load_run_spec(corpus / "spec.yaml"))
    said = loray("data", "report", "spec.yaml")
    assert "sources.0: columns that are not read: tag" in said.out
    assert "columns that are not read: tag" in (corpus / "my-bot-data.html").read_text()
