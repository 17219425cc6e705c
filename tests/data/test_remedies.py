"""Where one reason takes most rows, the message names the setting and a value that keeps them."""

import re

import numpy as np
import pytest

from loray.data.remedies import lost_to_one_reason, remedy
from loray.data.totals import check_budget
from loray.errors import DatasetError, SourceError
from loray.spec.readmit import FINAL, REASONS
from tests.data.corpora import data_spec, source
from tests.data.ledgers import ledger_of

SPLITS = ["train"] * 18 + ["validation", "test"]
STEPS = [
    {"kind": "length", "min_chars": 10, "max_chars": 50},
    *({"kind": kind} for kind in ("quality", "repetition", "language", "toxicity")),
    {"kind": "exact_duplicates"},
    {"kind": "near_duplicates"},
    {"kind": "decontamination", "against": [source("y")]},
]


def lost(reason, sizes, **fields):
    """A ledger of 20 rows, the first of which were rejected, and a spec that it was made by."""
    ledger = ledger_of([[3]] * 20, splits=SPLITS)
    ledger.rejected_by[: len(sizes)] = reason
    ledger.size[: len(sizes)] = sizes
    return ledger, data_spec(source("x"), steps=STEPS, **fields)


@pytest.mark.parametrize(
    ("reason", "sizes", "setting", "keeps"),
    [
        ("too_long", range(101, 121), "data.sequence.max_tokens", 119),
        ("too_long", [700], "data.sequence.max_tokens", 700),
        ("too_many_chars", range(51, 71), "data.steps.0.max_chars", 69),
        ("too_few_chars", range(1, 10), "data.steps.0.min_chars", 1),
        ("too_few_chars", [0] + [7] * 19, "data.steps.0.min_chars", 7),
    ],
)
def test_a_size_is_answered_by_the_value_that_keeps_most_rows(reason, sizes, setting, keeps):
    ledger, data = lost(reason, sizes, sequence={"max_tokens": 64}, max_rejected=0.01)
    with pytest.raises(SourceError, match=re.escape(f"{setting}={keeps} keeps 95%")):
        check_budget(ledger, data)


def test_an_empty_split_names_what_emptied_it_where_anything_may_be_lost():
    ledger, data = lost("too_long", [90] * 20, sequence={"max_tokens": 64}, max_rejected=1.0)
    with pytest.raises(DatasetError, match=r"20 of 20 rows .* data\.sequence\.max_tokens=90 keeps"):
        check_budget(ledger, data)


def test_more_than_half_lost_to_one_reason_is_told_although_it_is_allowed():
    ledger, data = lost("too_long", [90] * 11, max_rejected=1.0)
    (line,) = lost_to_one_reason(ledger, data)
    assert line.startswith("11 of 20 rows (55.0%) are rejected as too_long; ")
    assert list(lost_to_one_reason(*lost("too_long", [90] * 10))) == []


@pytest.mark.parametrize("reason", [*(r for rs in REASONS.values() for r in rs), *FINAL])
def test_every_reason_names_what_to_change(reason):
    _, data = lost(reason, [])
    words = remedy(reason, np.array([80]), data)
    assert re.search(r"data\.\w+\.\w+|mend|nothing is left|template", words)


def test_a_reason_of_ones_own_step_and_two_equal_reasons_are_no_setting_of_ours():
    _, data = lost("odd", [])
    assert "a step of your own" in remedy("odd", np.array([0]), data)
    ledger, data = lost("too_long", [90] * 6, max_rejected=0.1)
    ledger.rejected_by[6:12] = "malformed_json"
    with pytest.raises(SourceError) as refusal:
        check_budget(ledger, data)
    assert "is decided by" not in str(refusal.value)
