"""Rows that templates treat in ways of their own: sequences, notes, and what is held out."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.data.batch import put
from loray.data.sequences.encode import IGNORED, Encoder
from loray.data.write import write_rows
from loray.evaluate.rows import read_suite
from loray.models.thinking import ThinkMarks, think_marks
from loray.spec.data import ChatSpec, SequenceSpec, SplitSpec
from tests.data.corpora import batch_of
from tests.models.published import published

NO_SPLIT = SplitSpec(validation=0.0, test=0.0)
TOLD = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
]


@pytest.fixture
def encoder_of(tmp_path):
    def make(name: str, max_tokens: int = 512) -> Encoder:
        published(name).save_pretrained(tmp_path / name)
        length = SequenceSpec(max_tokens=max_tokens)
        return Encoder(str(tmp_path / name), None, ChatSpec(), length, NO_SPLIT, 0)

    return make


def with_turns(*rows: list[dict[str, str]]) -> pa.Table:
    batch = batch_of(*(["a", "b"] for _ in rows))
    return put(batch, "turns", pa.array([*rows, None], batch["turns"].type))


def column(batch: pa.Table, name: str) -> list:
    return batch[name].to_pylist()[:-1]


def test_each_answer_has_a_sequence_where_the_template_rewrites_earlier_ones(encoder_of):
    batch = encoder_of("qwen3")(batch_of(["one?", "1", "two?", "2"], ["one?", "1"]))
    assert column(batch, "rejected_by") == [None, None]
    assert column(batch, "changed_by") == [["one_answer_each"], []]
    assert column(batch, "num_ends") == [[1, 1], [1]]
    labels = column(batch, "labels")[0]
    tokenizer = published("qwen3")
    learned = [tokenizer.decode([t for t in one if t != IGNORED]) for one in labels]
    assert learned == [f"<think>\n\n</think>\n\n{n}<|im_end|>" for n in (2, 1)]
    assert [len(row) for row in column(batch, "input_ids")] == [2, 1]


def test_the_longest_sequence_has_to_fit(encoder_of):
    batch = encoder_of("qwen3", max_tokens=64)(batch_of(["a", "1", "b" * 40, "2"]))
    assert column(batch, "rejected_by") == ["too_long"]


def test_one_row_that_a_template_refuses_is_rejected_in_its_words(encoder_of):
    told = with_turns(TOLD, TOLD[1:])
    batch = encoder_of("gemma")(told)
    assert column(batch, "rejected_by") == ["chat_template", None]
    assert "System role not supported" in column(batch, "note")[0]
    assert column(batch, "note")[1] is None


def test_what_a_template_trims_is_counted(encoder_of):
    batch = encoder_of("gemma")(batch_of(["a", " b\n"], ["a", "b"]))
    assert column(batch, "changed_by") == [["template_trim"], []]


def test_a_row_that_was_rejected_before_keeps_its_note(encoder_of):
    batch = with_turns(TOLD)
    rejected = [*batch["rejected_by"].to_pylist()]
    rejected[0] = "language"
    batch = put(batch, "rejected_by", pa.array(rejected, pa.string()))
    encoded = encoder_of("gemma")(batch)
    assert (column(encoded, "rejected_by"), column(encoded, "note")) == (["language"], [None])


def held_out(tmp_path, turns) -> list[dict]:
    row = {
        "id": "0" * 16, "source": "s", "line": 1, "group": "g", "suite": "task", "split": "test",
        "turns": turns, "changed_by": [], "rejected_by": None, "note": None, "raw": None,
        "texts": [],
    }  # fmt: skip
    write_rows(tmp_path, [pa.Table.from_pylist([row])], has_replay=False)
    return pq.read_table(tmp_path / "eval" / "test.parquet").to_pylist()


def test_reasoning_before_the_last_answer_is_held_out_beside_it(tmp_path):
    turns = [*TOLD[1:2], {"role": "reasoning", "content": "r"}, TOLD[2]]
    (row,) = held_out(tmp_path, turns)
    assert (row["prompt"], row["reasoning"], row["reference"]) == (turns[:1], "r", "b")
    marks = ThinkMarks("<think>", "</think>")
    (read,) = read_suite(tmp_path, "test", max_rows=9, marks=marks)
    assert (read.reference, read.reasoning, read.compared) == ("b", "r", "b")
    (read,) = read_suite(tmp_path, "test", max_rows=9, marks=marks, include_reasoning=True)
    assert read.compared == "<think>\nr\n</think>\n\nb"


def test_an_answer_that_is_not_learned_is_no_reference(tmp_path):
    about = {"role": "about", "content": json.dumps({"weight": 0})}
    turns = [*TOLD[1:], TOLD[1], about, {"role": "assistant", "content": "wrong"}]
    (row,) = held_out(tmp_path, turns)
    assert (row["prompt"], row["reference"]) == (turns[:1], "b")


def test_a_reference_is_compared_without_its_think_block(tmp_path):
    thought = {"role": "assistant", "content": "<think>\nr\n</think>\n\nb"}
    held_out(tmp_path, [TOLD[1], thought])
    marks = think_marks(published("qwen3"))
    (row,) = read_suite(tmp_path, "test", max_rows=9, marks=marks)
    assert (row.reference, row.compared) == (thought["content"], "b")
    (row,) = read_suite(tmp_path, "test", max_rows=9, marks=marks, include_reasoning=True)
    assert row.compared == thought["content"]
    (row,) = read_suite(tmp_path, "test", max_rows=9)
    assert row.compared == thought["content"]
