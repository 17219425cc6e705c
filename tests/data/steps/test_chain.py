import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.chain import Chain, StepSetting, chain_of
from loray.data.steps.decontamination import build_index
from loray.spec.data import DataSpec
from tests.data.corpora import ALL_STEPS, ROW_KINDS, batch_of, contents, data_spec, source

NO_ITEMS = build_index([])
SETTING = StepSetting(
    seed=3,
    control_texts=("<|end|>", "<|user|>"),
    eval_indexes=dict.fromkeys(range(20), NO_ITEMS),
)


def chain(*steps: dict) -> Chain:
    spec: DataSpec = data_spec(source("x"), steps=steps)
    return chain_of(spec.steps, SETTING)


def rejected(batch: pa.Table) -> list[str | None]:
    return batch["rejected_by"].to_pylist()[:-1]


def changed(batch: pa.Table) -> list[list[str]]:
    return batch["changed_by"].to_pylist()[:-1]


def test_a_step_changes_what_it_must_and_says_so():
    batch = chain(*ALL_STEPS)(
        batch_of(["fine", "all good"], ["caf\u00c3\u00a9", "<|end|>"], ["x", "ada@foo.org"])
    )
    assert contents(batch)[0] == ["fine", "all good"]
    assert contents(batch)[1] == ["caf\u00e9", "<\\|end|>"]
    assert contents(batch)[2][1].startswith("<EMAIL_")
    assert changed(batch) == [[], ["unicode", "control_tokens"], ["pii"]]
    assert rejected(batch) == [None, None, None]


def test_rows_that_are_out_already_keep_their_reason():
    batch = chain({"kind": "length", "min_chars": 9})(batch_of(None, ["a", "b"], None))
    assert rejected(batch) == ["malformed_json", "too_few_chars", "malformed_json"]
    assert contents(batch) == [None, ["a", "b"], None]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["ab", "c"], None),
        (["a", "b"], "too_few_chars"),
        (["abc", "def"], None),
        (["abcd", "efg"], "too_many_chars"),
        (["\u00e9\u00e9", "\U0001f600"], None),
    ],
)
def test_length_counts_the_characters_of_all_turns(texts, reason):
    batch = batch_of(["x", "yz"], texts, None, ["x", "yz"])
    stage = chain({"kind": "length", "min_chars": 3, "max_chars": 6})
    assert rejected(stage(batch)) == [None, reason, "malformed_json", None]


def test_a_row_of_which_a_step_leaves_nothing_is_rejected():
    batch = chain({"kind": "unicode"})(batch_of(["ask", "\u200b\u2060"], ["\u202e", "reply"]))
    assert rejected(batch) == ["empty_completion", "empty_prompt"]


def test_digests_tell_turns_apart_and_leave_out_rows_that_are_out():
    stage = chain({"kind": "length", "min_chars": 2}, {"kind": "exact_duplicates"})
    batch = stage(
        batch_of(["a", "bc"], ["ab", "c"], ["a", "bc"], ["a", "bc", "d", "e"], ["", "x"], None)
    )
    first, other, same, longer, short, unread = batch["digest_1"].to_pylist()[:-1]
    assert first == same
    assert len({first, other, longer}) == 3
    assert short is unread is None


def test_the_salt_of_placeholders_comes_from_the_seed():
    steps = data_spec(source("x"), steps=[{"kind": "pii"}]).steps
    texts = [
        contents(chain_of(steps, StepSetting(seed, ()))(batch_of(["ada@foo.org", "x"])))[0][0]
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_the_time_of_every_step_is_noted():
    batch = chain(*ALL_STEPS)(batch_of(["a", "b"], ["c", "d"]))
    names = [entry["name"] for entry in batch["seconds"][0].as_py()]
    assert names == [step["kind"] for step in ALL_STEPS]


def test_a_batch_without_rows_passes():
    batch = chain(*ALL_STEPS)(batch_of())
    assert batch.num_rows == 1
    assert chain(*ALL_STEPS)(batch.slice(0, 0)).num_rows == 0


texts = st.one_of(
    st.sampled_from(["a", "\u200b", " ", "<|end|>", "ada@foo.org", "caf\u00c3\u00a9"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
rows = st.one_of(st.none(), st.lists(texts, min_size=2, max_size=4))


@given(st.lists(rows, max_size=8), st.data())
def test_no_step_drops_or_moves_a_row_and_batches_do_not_matter(conversations, data):
    stage = chain(*ALL_STEPS)
    batch = batch_of(*conversations)
    noted = ["seconds", "found"]  # on the first row of each batch
    whole = stage(batch).drop(noted)
    assert whole["id"] == batch["id"]
    cut = data.draw(st.integers(0, batch.num_rows))
    parts = [stage(batch.slice(0, cut)), stage(batch.slice(cut))]
    joined = pa.concat_tables([part.drop(noted) for part in parts])
    assert joined.to_pylist() == whole.to_pylist()


def test_values_are_counted_by_kind():
    row = ["mail ada@foo.org or bob@foo.org", "dial 212-555-0187 or 415-867-5309"]
    batch = chain({"kind": "pii"})(batch_of(row, row))
    assert batch["found"].to_pylist()[0] == [
        {"name": "pii.email", "value": 4.0},
        {"name": "pii.phone", "value": 2.0},
    ]
    assert batch["found"].to_pylist()[1] is None


def test_every_step_of_the_spec_has_a_stage():
    kinds = {
        ref["$ref"].rsplit("/", 1)[-1]
        for ref in DataSpec.model_json_schema()["properties"]["steps"]["items"]["oneOf"]
    }
    steps = (*ALL_STEPS, *({"kind": kind} for kind in ROW_KINDS))
    others = (
        {"kind": "credentials"},
        {"kind": "near_duplicates"},
        {"kind": "decontamination", "against": [source("x")]},
        {"kind": "own", "function": "tests.data.steps.own_steps:shorten"},
    )
    assert len(kinds) == len(steps) + len(others), json.dumps(sorted(kinds))
    assert len(chain(*steps, *others).named_stages) == len(kinds)
