"""`validate` and `plan` refuse what reading the sources would refuse, with the spec's line."""

import json
from pathlib import Path

import pytest

from loray.cli.exits import Exit

WRONG = {
    "a column by another name": (b'{"question": "a", "answer": "b"}\n', "no value in column 'q'"),
    "an array of other things": (b"[1, 2]", "not_an_object: found a list; wanted an object"),
    "no JSON": (b"q,a\nx,y\n", "malformed_json"),
    "UTF-16": ('{"q": "a", "a": "b"}\n'.encode("utf-16"), "iconv -f UTF-16LE"),
    "nothing": (b"", "found no row at all in"),
    "numbers": (b'{"q": 1, "a": 2}\n', "'q' holds 1; wanted text"),
}


@pytest.mark.parametrize("verb", ["validate", "plan", "apply"])
@pytest.mark.parametrize("case", WRONG)
def test_a_source_that_no_row_can_be_read_of_is_a_fault_of_the_spec(loray, case, verb):
    data, message = WRONG[case]
    Path("rows.jsonl").write_bytes(data)
    said = loray(verb, "spec.yaml")
    assert said.code == Exit.WRONG_SPEC
    assert "spec.yaml:3:" in said.err
    assert "data.sources.0" in said.err
    assert message in said.err
    assert "rows.jsonl" in said.err


def test_a_bad_row_among_sound_ones_is_told_and_no_fault(loray):
    Path("rows.jsonl").write_text('{"q": "a", "a": "b"}\n{"q": "a"}\n')
    said = loray("validate", "spec.yaml")
    assert said.code == 0
    assert "1 of 2 rows that were looked at would be put aside" in said.out
    assert "sources.0/rows.jsonl:2: missing_field: no value in column 'a'" in said.out


def test_what_is_not_read_is_told_once(loray):
    lines = [{"q": "a", "a": "b", "score": n, "tag": "x"} for n in range(30)]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    said = loray("validate", "spec.yaml")
    assert said.out.count("sources.0: columns that are not read: score, tag") == 1
    document = loray("validate", "spec.yaml", "--json").document
    assert document["notes"] == ["sources.0: columns that are not read: score, tag"]


def test_replay_and_evaluation_items_are_looked_at_too(loray):
    Path("other.jsonl").write_text('{"body": "x"}\n')
    place = "{kind: jsonl, uri: other.jsonl, fields: {text: text}}"
    for override, at in (
        (f"data.replay={{source: {place}}}", "data.replay"),
        (f"data.steps=[{{kind: decontamination, against: [{place}]}}]", "data.steps.0.against.0"),
    ):
        said = loray("validate", "spec.yaml", "--set", override)
        assert said.code == Exit.WRONG_SPEC
        assert f"{at}: found no row that can be read" in said.err
        assert "there are ['body']" in said.err


def test_a_later_part_of_a_file_is_looked_at_too(loray):
    bad = '{"note": "' + "x" * 4000 + '"}\n'
    good = json.dumps({"q": "a" * 4000, "a": "b"}) + "\n"
    Path("rows.jsonl").write_text(bad * 20 + good * 60)
    assert loray("validate", "spec.yaml").code == 0, "the file is not bad all through"


def test_a_source_on_s3_is_not_asked(loray):
    said = loray("validate", "spec.yaml", "--set", "data.sources.0.uri=s3://nowhere/x.jsonl")
    assert said.code == 0


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("e.jsonl", "jsonl", b"\n\n \n"),
        ("e.json", "jsonl", b"[]"),
        ("e.csv", "csv", b"q,a\n"),
        ("e.jsonl", "jsonl", b""),
    ],
)
def test_sources_without_a_row_are_a_fault_unless_another_has_some(loray, name, kind, data):
    Path(name).write_bytes(data)
    empty = f"{{kind: {kind}, uri: {name}, fields: {{prompt: q, completion: a}}}}"
    filled = "{kind: jsonl, uri: rows.jsonl, fields: {prompt: q, completion: a}}"
    said = loray("validate", "spec.yaml", "--set", f"data.sources=[{empty}]")
    assert said.code == Exit.WRONG_SPEC
    assert "data.sources.0: found no row at all in" in said.err
    said = loray("validate", "spec.yaml", "--set", f"data.sources=[{empty}, {filled}]")
    assert said.code == 0
    assert "sources.0: found no row at all in" in said.out


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"question": "a", "answer": "b"}, "{prompt: question, completion: answer}"),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            "{messages: conversations, format: sharegpt}",
        ),
        ({"text": "a"}, "{text: text}"),
    ],
)
def test_a_fault_says_which_fields_the_file_seems_to_have(loray, row, fields):
    Path("rows.jsonl").write_text(json.dumps(row))
    said = loray("validate", "spec.yaml")
    assert said.code == Exit.WRONG_SPEC
    assert f"the file seems to have fields: {fields}" in said.err


def test_a_column_that_may_be_missing_and_always_is_is_told(loray):
    fields = '{prompt: "{q}{? {contxt}}", completion: a, system: sys_prompt}'
    said = loray("validate", "spec.yaml", "--set", f"data.sources.0.fields={fields}")
    assert said.code == 0
    assert "columns that fields names and that no row seems to have: contxt, sys_prompt" in said.out
