import pytest

from loray.data.batch import is_in, put
from loray.data.steps.chain import StepSetting, chain_of
from loray.spec.readmit import ReadmitSpec
from tests.data.corpora import batch_of, data_spec, source

OPEN_FENCE = "here it is:\n```python\nprint('hello')"
ROWS = (
    ["a question", "an answer"],
    ["show me", OPEN_FENCE],
    ["show me", "no"],
    ["show me again", OPEN_FENCE],
    None,
)
STEPS = [{"kind": "quality"}, {"kind": "length", "min_chars": 12}]


def through(rules: list[dict], rows=ROWS, steps=STEPS):
    data = data_spec(source("x"), steps=steps, readmit=rules)
    return chain_of(data.steps, StepSetting(0, (), {}, data.readmit))(batch_of(*rows))


def reasons(batch) -> list[str | None]:
    return batch["rejected_by"].to_pylist()[:-1]


def test_without_a_rule_nothing_is_lifted():
    assert reasons(through([])) == [
        None, "truncated", "too_few_chars", "truncated", "malformed_json",
    ]  # fmt: skip


def test_rows_that_a_rule_covers_stay_and_say_so():
    batch = through([{"reason": "truncated"}])
    assert reasons(batch) == [None, None, "too_few_chars", None, "malformed_json"]
    assert batch["changed_by"].to_pylist()[:4] == [[], ["readmitted"], [], ["readmitted"]]
    assert list(is_in(batch)) == [True, True, False, True, False, False]


def test_a_rule_may_name_rows():
    batch = through([{"reason": "truncated", "ids": [f"{3:016x}"]}])
    assert reasons(batch)[1:4] == ["truncated", "too_few_chars", None]


@pytest.mark.parametrize(("glob", "is_lifted"), [("sources.0/*", True), ("sources.1/*", False)])
def test_a_rule_may_name_a_source(glob: str, is_lifted: bool):
    batch = through([{"reason": "truncated", "source": glob}])
    assert (reasons(batch)[1] is None) is is_lifted


def test_later_steps_judge_a_row_that_was_readmitted():
    rows = (["?", "```\nx"],)
    assert reasons(through([{"reason": "truncated"}], rows)) == ["too_few_chars"]
    both = [{"reason": "truncated"}, {"reason": "too_few_chars"}]
    batch = through(both, rows)
    assert reasons(batch) == [None]
    assert batch["changed_by"][0].as_py() == ["readmitted"]


def test_a_row_rejected_before_the_steps_stays_rejected():
    rules = [ReadmitSpec(reason="malformed_json")]  # no spec has it; see tests/spec
    chain = chain_of(data_spec(source("x"), steps=STEPS).steps, StepSetting(0, (), {}, (*rules,)))
    assert reasons(chain(batch_of(*ROWS)))[4] == "malformed_json"


def test_the_note_of_a_rejection_that_is_lifted_goes_with_it():
    from loray.data.steps.readmit import lift

    before = batch_of(["a", "b"])
    noted = put(before, "rejected_by", before["id"]).set_column(
        before.schema.get_field_index("note"), "note", before["id"]
    )
    reason = noted["rejected_by"][0].as_py()
    rule = ReadmitSpec.model_construct(reason=reason, source="*", ids=None)
    after = lift(before, noted, [rule])
    assert (after["rejected_by"][0].as_py(), after["note"][0].as_py()) == (None, None)
