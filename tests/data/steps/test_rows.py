import pyarrow as pa
import pytest

from loray.data.batch import ROWS
from loray.data.steps.chain import Chain, StepSetting, chain_of
from loray.errors import SpecError
from tests.data.corpora import ROW_KINDS, batch_of, contents, data_spec, source
from tests.data.steps.sentences import SENTENCES


def chain(*steps: dict) -> Chain:
    return chain_of(data_spec(source("x"), steps=steps).steps, StepSetting(3, ()))


def rejected(batch: pa.Table) -> list[str | None]:
    return batch["rejected_by"].to_pylist()[:-1]


def test_every_step_rejects_for_its_own_reason_and_the_first_keeps_the_credit():
    batch = chain(*({"kind": kind} for kind in ROW_KINDS))(
        batch_of(
            ["is it?", "it is  "],
            None,
            ["code", "```\nnever closed"],
            ["laugh", "ha" * 99],
            SENTENCES["de"],
        )
    )
    assert rejected(batch) == [
        None, "malformed_json", "truncated", "repeated_characters", "language",
    ]  # fmt: skip
    assert contents(batch)[0] == ["is it?", "it is"]
    assert batch["changed_by"].to_pylist()[0] == ["whitespace"]


def test_a_users_words_are_read_before_anything_starts(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("blorf\n", encoding="utf-8")
    stage = chain({"kind": "toxicity", "words": str(path)})
    path.unlink()
    assert rejected(stage(batch_of(["a blorf", "x"], ["a", "x"]))) == ["toxicity", None]
    with pytest.raises(SpecError, match="cannot be read"):
        chain({"kind": "toxicity", "words": str(path)})


def test_a_users_function_changes_and_rejects_rows():
    batch = chain({"kind": "own", "function": "tests.data.steps.own_steps:shorten"})(
        batch_of(["a", "b"], None, ["spam", "b"], ["a", "b", "c", "d"])
    )
    assert rejected(batch) == [None, "malformed_json", "spam", None]
    assert contents(batch) == [["a", "b"], None, ["spam", "b"], ["a", "b"]]
    assert batch["changed_by"].to_pylist()[:-1] == [[], [], [], ["own"]]
    assert batch.schema.field("turns").equals(ROWS.field("turns"))
    with pytest.raises(SpecError, match="not importable"):
        chain({"kind": "own", "function": "own_steps_that_are_not_there:f"})
