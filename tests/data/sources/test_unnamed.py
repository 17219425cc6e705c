from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.decoding import FaultError
from loray.data.sources.files import find_files
from loray.data.sources.records import turns_of
from loray.spec.data import DataSpec
from loray.spec.fields import FieldsSpec
from loray.spec.sources import CsvSource

HH = "\n\nHuman: Hi.\nHow?\n\nAssistant: So.\n\nAnd more.\n\nHuman: Why?\n\nAssistant: Hm."
CASES: list[tuple[str, object, list[tuple[str, str]]]] = [
    ("alternating", ["a", "b", "c", "d"], [("user", "a"), ("assistant", "b")] * 1
     + [("user", "c"), ("assistant", "d")]),
    ("alternating", '["a", "b"]', [("user", "a"), ("assistant", "b")]),
    ("pairs", [{"input": "a", "output": "b"}, {"output": "d", "input": "c"}],
     [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]),
    ("transcript", HH, [
        ("user", "Hi.\nHow?"), ("assistant", "So.\n\nAnd more."),
        ("user", "Why?"), ("assistant", "Hm."),
    ]),
    ("transcript", "Human: a\n\nAssistant: b", [("user", "a"), ("assistant", "b")]),
]  # fmt: skip


@pytest.mark.parametrize(("spelling", "value", "wanted"), CASES)
def test_a_conversation_that_names_nobody_has_its_turns(spelling: Any, value, wanted) -> None:
    turns = turns_of({"c": value}, FieldsSpec(messages="c", format=spelling))
    assert [(turn["role"], turn["content"]) for turn in turns] == wanted


@pytest.mark.parametrize(
    ("spelling", "value", "reason", "note"),
    [
        ("alternating", ["a", 7], "bad_messages", "text 2 is 7; wanted text"),
        ("alternating", ["a"], "no_answer", "no message of an assistant"),
        ("pairs", [{"input": "a"}], "bad_messages", "found ['input'] as pair 1; wanted input and"),
        ("pairs", ["a"], "bad_messages", "found text as pair 1"),
        ("transcript", "a\n\nAssistant: b", "bad_messages", "does not begin with Human:"),
        ("transcript", "no speaker", "bad_messages", "does not begin with Human:"),
        ("transcript", ["a"], "bad_messages", "holds a list; wanted a transcript"),
        ("transcript", "Human: a\n\nAssistant:", "empty_completion", "the assistant turn is blank"),
    ],
)
def test_what_is_no_such_conversation_says_why(spelling: Any, value, reason, note) -> None:
    with pytest.raises(FaultError, match=reason) as told:
        turns_of({"c": value}, FieldsSpec(messages="c", format=spelling))
    assert note in (told.value.note or "")


def test_texts_in_turn_are_read_of_parquet_and_transcripts_of_csv(tmp_path) -> None:
    pq.write_table(pa.table({"c": [["a", "b"], ["c", "d"]]}), tmp_path / "lima.parquet")
    (tmp_path / "hh.csv").write_text('c\n"\n\nHuman: e\n\nAssistant: f"\n')
    sources = [
        {"kind": "parquet", "uri": str(tmp_path / "lima.parquet"),
         "fields": {"messages": "c", "format": "alternating"}},
        {"kind": "csv", "uri": str(tmp_path / "hh.csv"),
         "fields": {"messages": "c", "format": "transcript"}},
    ]  # fmt: skip
    data = DataSpec.model_validate({"sources": tuple(sources)})
    rows = [
        row
        for block in cut_into_blocks(find_files(data))
        for table in read_block(block)
        for row in table.to_pylist()
        if row["id"] is not None
    ]
    said = [[turn["content"] for turn in row["turns"]] for row in rows]
    assert said == [["a", "b"], ["c", "d"], ["e", "f"]]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": "c", "format": "pairs", "keys": {"role": "x"}}, "name nothing in messages"),
        ({"prompt": "a", "completion": "b", "format": "pairs"}, "is one of `messages`"),
    ],
)
def test_a_format_that_names_nobody_takes_no_names(fields, words) -> None:
    with pytest.raises(ValueError, match=words):
        FieldsSpec.model_validate(fields)


def test_csv_holds_no_list_but_a_transcript() -> None:
    fields = {"messages": "c", "format": "pairs"}
    with pytest.raises(ValueError, match="a CSV field holds text"):
        CsvSource.model_validate({"kind": "csv", "uri": "a.csv", "fields": fields})
