import pyarrow as pa
import pytest

from loray.data.batch import put
from loray.data.sequences.encode import IGNORED, Encoder
from loray.data.split import split_of
from loray.models.chat import encode, load_tokenizer
from loray.spec.data import ChatSpec, SequenceSpec, SplitSpec
from tests.data.corpora import batch_of

NO_SPLIT = SplitSpec(validation=0.0, test=0.0)


@pytest.fixture
def encoder(tokenizer_dir):
    return Encoder(str(tokenizer_dir), None, ChatSpec(), SequenceSpec(max_tokens=64), NO_SPLIT, 0)


def column(batch: pa.Table, name: str) -> list:
    return batch[name].to_pylist()[:-1]


def with_text(batch: pa.Table, at: int, text: str) -> pa.Table:
    turns = batch["turns"].to_pylist()
    turns[at] = [{"role": "text", "content": text}]
    return put(batch, "turns", pa.array(turns, batch["turns"].type))


def test_a_chat_is_one_sequence_whose_answer_is_learned(encoder, tokenizer_dir):
    batch = encoder(batch_of(["ask", "reply"]))
    turns = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "reply"}]
    expected = encode(turns, load_tokenizer(str(tokenizer_dir)), ChatSpec())
    ((ids,),), ((labels,),) = column(batch, "input_ids"), column(batch, "labels")
    assert ids == expected.input_ids
    assert [label != IGNORED for label in labels] == expected.target_mask
    assert column(batch, "num_targets") == [[sum(expected.target_mask)]]
    assert column(batch, "num_ends") == [[1]]


def test_the_first_label_is_never_learned(encoder):
    batch = encoder(with_text(batch_of(["a", "b"]), 0, "raw text"))
    ((labels,),) = column(batch, "labels")
    assert labels[0] == IGNORED
    assert IGNORED not in labels[1:]


def test_a_chat_that_is_too_long_is_rejected_and_never_cut(encoder):
    fits = "x" * (64 - 4 - 1)
    batch = encoder(batch_of(["a", fits], ["a", fits + "x"]))
    assert column(batch, "rejected_by") == [None, "too_long"]
    assert [len(row) for row in column(batch, "input_ids")] == [1, 0]


def test_a_question_may_lose_its_start_and_an_answer_nothing(tokenizer_dir):
    fits = SequenceSpec(max_tokens=64, too_long="cut_prompt")
    cutting = Encoder(str(tokenizer_dir), None, ChatSpec(), fits, NO_SPLIT, 0)
    question = "".join(f"{n} " for n in range(40)) + "caf\u00e9?"
    batch = cutting(
        batch_of(["a", "b"], [question, "reply"], ["a", "y" * 90], ["\u00e9" * 90, "b"])
    )
    assert column(batch, "rejected_by") == [None, None, "too_long", None]
    asked, answer = column(batch, "turns")[1]
    assert question.endswith(asked["content"])
    assert answer["content"] == "reply"
    assert column(batch, "changed_by")[:3] == [[], ["cut_prompt"], []]
    (ids,) = column(batch, "input_ids")[1]
    assert 60 <= len(ids) <= 64


def test_raw_text_is_cut_into_sequences_of_which_the_last_ends(encoder):
    batch = encoder(with_text(batch_of(["a", "b"]), 0, "word " * 60))
    (lengths,) = [[len(ids) for ids in row] for row in column(batch, "input_ids")]
    assert max(lengths) <= 64
    assert sum(lengths) == 301
    assert column(batch, "num_ends") == [[0] * (len(lengths) - 1) + [1]]
    assert column(batch, "rejected_by") == [None]


def test_a_row_that_the_template_refuses_is_rejected(encoder):
    batch = batch_of(["ask", "reply"])
    turns = [[{"role": "assistant", "content": "hello"}], None]
    batch = encoder(put(batch, "turns", pa.array(turns, batch["turns"].type)))
    assert column(batch, "rejected_by") == ["chat_template"]


def test_rows_that_are_out_have_no_sequences(encoder):
    batch = encoder(batch_of(None, ["a", "b"], None))
    assert [len(row) for row in column(batch, "input_ids")] == [0, 1, 0]
    assert column(batch, "rejected_by") == ["malformed_json", None, "malformed_json"]


def test_held_out_rows_are_checked_but_have_no_sequences(tokenizer_dir):
    split = SplitSpec(validation=0.5, test=0.49)
    encoder = Encoder(str(tokenizer_dir), None, ChatSpec(), SequenceSpec(max_tokens=64), split, 0)
    batch = encoder(with_text(batch_of(*[["a", "x" * 70]] * 30), 0, "word " * 60))
    splits = [split_of(f"g{n}", split, 0) for n in range(30)]
    assert column(batch, "split") == splits
    assert splits[0] != "train"
    assert set(column(batch, "rejected_by")[1:]) == {"too_long"}
    assert "".join(column(batch, "texts")[0]) == "word " * 60
    assert column(batch, "input_ids")[0] == []
