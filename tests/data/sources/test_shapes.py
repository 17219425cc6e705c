"""The shapes of public datasets, from each kind of file that holds them, to exact turns."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.data.sources.jsonl import read_pieces
from loray.data.sources.records import turns_of
from loray.data.sources.rows import Placed
from loray.spec.fields import FieldsSpec
from tests.data.corpora import data_spec, file_at, source, write_jsonl
from tests.data.sources.public_shapes import JSON_SHAPES, SHAPES, assistant, user

ALL = SHAPES | JSON_SHAPES


def read(path, kind, fields):
    blocks = cut_into_blocks(find_files(data_spec(source(path, kind, fields))))
    rows = [row for block in blocks for table in read_block(block) for row in table.to_pylist()]
    return [row for row in rows if row["id"] is not None]


def said(rows):
    assert [row["rejected_by"] for row in rows] == [None] * len(rows), [row["note"] for row in rows]
    return [[(turn["role"], turn["content"]) for turn in row["turns"]] for row in rows]


USER, ASSISTANT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize("name", ALL)
def test_a_shape_of_json_lines_has_its_turns(tmp_path, name):
    shape = ALL[name]
    path = write_jsonl(tmp_path / "x.jsonl", shape.rows)
    assert said(read(path, "jsonl", shape.fields)) == shape.turns


@pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
@pytest.mark.parametrize("name", ALL)
def test_a_shape_in_a_json_array_has_its_turns(tmp_path, name, indent):
    shape = ALL[name]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(shape.rows, indent=indent))
    assert said(read(path, "jsonl", shape.fields)) == shape.turns


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_in_parquet_has_its_turns(tmp_path, name):
    shape = SHAPES[name]
    pq.write_table(pa.Table.from_pylist(shape.rows), tmp_path / "x.parquet")
    assert said(read(tmp_path / "x.parquet", "parquet", shape.fields)) == shape.turns


@pytest.mark.parametrize("name", ["alpaca", "dolly", "sharegpt", "custom keys and roles"])
def test_a_shape_is_read_all_at_once_where_its_rows_are_plain(tmp_path, name):
    shape = SHAPES[name]
    path = write_jsonl(tmp_path / "x.jsonl", shape.rows)
    file = file_at(path, fields=shape.fields)
    (piece,) = read_pieces(file, 0, file.size)
    assert isinstance(piece, Placed)


@pytest.mark.parametrize(
    ("row", "fields", "reason", "note"),
    [
        (
            {"instruction": "a", "output": "b"},
            {"prompt": "{instruction} {input}", "completion": "output"},
            "missing_field",
            "no value in column 'input'; there are ['instruction', 'output']",
        ),
        (
            {"a": "x", "b": " ", "c": "y"},
            {"prompt": "{a}: {b}", "completion": "c"},
            "empty_prompt",
            "the user turn is blank",
        ),
        (
            {"a": 7, "b": "x"},
            {"prompt": "No. {a}", "completion": "b"},
            "field_not_text",
            "column 'a' holds 7; wanted text",
        ),
        (
            {"p": "a", "c": "b", "h": ["x"]},
            {"prompt": "p", "completion": "c", "history": "h"},
            "bad_messages",
            "column 'h' holds a list; wanted a list of [question, answer], each a text",
        ),
        (
            {"m": [{"from": "narrator", "value": "a"}]},
            {"messages": "m", "format": "sharegpt"},
            "unknown_role",
            "found 'narrator'; wanted one of ",
        ),
        (
            {"m": [{"from": "human", "role": "user", "value": "a"}]},
            {"messages": "m", "format": "sharegpt"},
            "bad_messages",
            "a message has 'role' beside 'from'; wanted one of them",
        ),
        (
            {"m": [{"role": "user", "content": "a"}]},
            {"messages": "m", "format": "sharegpt"},
            "bad_messages",
            "a message has no text in 'from'; there are ['role', 'content']",
        ),
        (
            {"m": [{"from": "function_call", "value": "weather(Oslo)"}]},
            {"messages": "m", "format": "sharegpt"},
            "bad_tools",
            "wanted the JSON of a call, {name, arguments}, or of a list of them",
        ),
        (
            {"p": [{"role": "user", "content": "a"}], "c": [{"role": "user", "content": "b"}]},
            {"prompt": "p", "completion": "c"},
            "no_answer",
            "'c' holds no message of an assistant; wanted one",
        ),
        (
            {"p": "a", "c": [USER, ASSISTANT]},
            {"prompt": "p", "completion": "c"},
            "bad_messages",
            "it is a whole conversation: fields: {messages: c}",
        ),
        (
            {"p": "a", "c": [{"role": "system", "content": "s"}, USER, ASSISTANT]},
            {"prompt": "p", "completion": "c"},
            "bad_messages",
            "'c' begins with the question that 'p' holds, which would stand twice",
        ),
    ],
)
def test_a_row_that_is_not_of_its_shape_says_what_was_wanted(tmp_path, row, fields, reason, note):
    (found,) = read(write_jsonl(tmp_path / "x.jsonl", [row]), "jsonl", fields)
    assert found["rejected_by"] == reason
    assert note in found["note"]


def test_columns_that_no_field_names_are_told_once_a_block(tmp_path):
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "a", "input": "c", "output": "b"}]
    fields = {"prompt": "instruction", "completion": "output"}
    path = write_jsonl(tmp_path / "x.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows[1:]), tmp_path / "x.parquet")
    (tmp_path / "x.csv").write_text("instruction,input,output\na,b,c\n")
    (tmp_path / "x.json").write_text(json.dumps(rows))
    for kind, name in (
        ("jsonl", path.name), ("jsonl", "x.json"), ("parquet", "x.parquet"), ("csv", "x.csv")
    ):  # fmt: skip
        spec = data_spec(source(tmp_path / name, kind, fields))
        (block,) = cut_into_blocks(find_files(spec))
        *_, last = (row for table in read_block(block) for row in table.to_pylist())
        assert (last["id"], last["unread"]) == (None, ["input"]), name


@pytest.mark.parametrize("others", [{"n": 1}, {"n": {"a": []}}, {"n": float("nan")}])
def test_a_column_that_only_some_rows_have_is_told_though_others_are_not_text(tmp_path, others):
    rows = [{"p": "a", "c": "b", **others} for _ in range(40)]
    rows[25]["late"] = "x"
    path = write_jsonl(tmp_path / "x.jsonl", [json.dumps(row) for row in rows])
    (block,) = cut_into_blocks(
        find_files(data_spec(source(path, fields={"prompt": "p", "completion": "c"})))
    )
    *_, last = (row for table in read_block(block) for row in table.to_pylist())
    assert "n" in last["unread"]


def test_answers_in_a_prompt_are_context_and_not_learned():
    record = {
        "prompt": [user("a"), assistant("b"), user("c")],
        "completion": [assistant("d")],
    }
    turns = turns_of(record, FieldsSpec(prompt="prompt", completion="completion"))
    assert [turn["content"] for turn in turns if turn["role"] == "assistant"] == ["b", "d"]
    assert [turn["role"] for turn in turns] == ["user", "about", "assistant", "user", "assistant"]
    assert turns[1]["content"] == '{"weight": 0}'


@pytest.mark.parametrize("others", [{}, {"n": 1}, {"n": float("nan")}])
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_column_that_may_be_missing_and_always_is_is_told(tmp_path, kind, others):
    rows = [{"q": "a", "ctx": "b", "a": "c", **others} for _ in range(1100)]
    rows[1050]["late"] = "d"
    path = tmp_path / f"x.{kind}"
    path.write_text("\n".join(map(json.dumps, rows)) if kind == "jsonl" else json.dumps(rows))
    fields = {"prompt": "{q}{? {ctxt}}{? {late}}", "completion": "a", "system": "sys_prompt"}
    (block,) = cut_into_blocks(find_files(data_spec(source(path, fields=fields))))
    *_, last = (row for table in read_block(block) for row in table.to_pylist())
    assert last["absent"] == ["ctxt", "sys_prompt"]
    assert "ctx" in last["unread"]
