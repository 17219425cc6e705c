from collections import defaultdict
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps import duplicates
from loray.data.steps.chain import digest_turns
from loray.data.steps.duplicates import mark_duplicates
from tests.data.corpora import batch_of, data_spec, source
from tests.data.ledgers import ledger_of, tables_of

DUPLICATES = {"kind": "exact_duplicates"}


def never(rule):
    raise AssertionError("no step compares")


def mark(ledger, steps, digests, likeness=never):
    tables = tables_of(ledger, digests)
    mark_duplicates(ledger, steps, lambda: tables, likeness)


def steps(*kinds: str):
    return data_spec(source("x"), steps=[{"kind": kind} for kind in kinds]).steps


def test_the_row_with_the_smallest_id_is_kept():
    ledger = ledger_of([[]] * 5)
    mark(ledger, steps("exact_duplicates"), {"digest_0": [b"a", b"b", b"a", b"a", None]})
    assert list(ledger.rejected_by) == [None, None, "exact_duplicate", "exact_duplicate", None]


def test_a_row_that_was_out_before_is_nobodys_original():
    ledger = ledger_of([[]] * 2)
    ledger.rejected_by[0] = "too_few_chars"
    mark(ledger, steps("length", "exact_duplicates"), {"digest_1": [None, b"a"]})
    assert list(ledger.rejected_by) == ["too_few_chars", None]


def test_what_later_steps_said_of_a_duplicate_does_not_count():
    ledger = ledger_of([[]] * 2)
    ledger.rejected_by[:] = "too_long"
    mark(ledger, steps("exact_duplicates"), {"digest_0": [b"a", b"a"]})
    assert list(ledger.rejected_by) == ["too_long", "exact_duplicate"]


def test_a_second_step_sees_what_the_first_has_left():
    ledger = ledger_of([[]] * 3)
    digests = {"digest_0": [b"a", b"a", b"b"], "digest_2": [b"x", b"y", b"y"]}
    mark(ledger, steps("exact_duplicates", "pii", "exact_duplicates"), digests)
    assert list(ledger.rejected_by) == [None, "exact_duplicate", None]


def keys(*bands):
    return [band and np.array(band, dtype="<u4").tobytes() for band in bands]


def test_an_exact_duplicate_takes_no_part_in_a_later_near_duplicates_step():
    ledger = ledger_of([[]] * 4)
    digests = {
        "digest_0": [b"a", b"a", b"b", b"c"],
        "bands_1": keys([1, 2], [1, 9], [3, 9], [3, 4]),
    }
    asked = []

    def likeness(rule):
        return lambda pairs, crowds: asked.extend(pairs.tolist()) or np.full(len(pairs), 0.875)

    mark(ledger, steps("exact_duplicates", "near_duplicates"), digests, likeness)
    assert list(ledger.rejected_by) == [None, "exact_duplicate", None, "near_duplicate"]
    assert list(ledger.original) == [-1, 0, -1, 2]
    assert ledger.similarity[[1, 3]].tolist() == [pytest.approx(np.nan, nan_ok=True), 0.875]
    assert asked == [[2, 3]]


def test_the_row_that_is_kept_in_the_end_is_named():
    ledger = ledger_of([[]] * 3)
    digests = {"bands_0": keys([1], [2], [2]), "digest_1": [b"a", b"a", None]}

    def alike(rule):
        return lambda pairs, crowds: np.full(len(pairs), 0.875)

    mark(ledger, steps("near_duplicates", "exact_duplicates"), digests, alike)
    assert list(ledger.rejected_by) == [None, "exact_duplicate", "near_duplicate"]
    assert list(ledger.original) == [-1, 0, 0]
    assert ledger.similarity[2] == 0.875


def test_a_row_that_stands_for_others_stays_when_a_laxer_step_follows():
    """The others were compared with it, and not with what it is like."""
    ledger = ledger_of([[]] * 4)
    digests = {"bands_0": keys([1], [2], [3], [3]), "bands_1": keys([1], [8], [8], [9])}

    def alike(rule):
        return lambda pairs, crowds: np.full(len(pairs), 0.875)

    mark(ledger, steps("near_duplicates", "near_duplicates"), digests, alike)
    assert list(ledger.original) == [-1, 2, -1, 2]


def test_without_the_step_nothing_is_a_duplicate():
    ledger = ledger_of([[]] * 2)
    mark(ledger, steps("unicode"), {})
    assert list(ledger.rejected_by) == [None, None]


@given(
    st.lists(
        st.one_of(
            st.none(), st.binary(min_size=16, max_size=16), st.sampled_from([b"a" * 16, b"\0" * 16])
        )
    )
)
def test_one_row_of_each_digest_is_kept(digests):
    ledger = ledger_of([[]] * len(digests))
    with patch.object(duplicates, "MOVED_ROWS", 2):
        mark(ledger, steps("exact_duplicates"), {"digest_0": digests})
    kept = defaultdict(list)
    for at, (digest, reason) in enumerate(zip(digests, ledger.rejected_by, strict=True)):
        if reason is None:
            kept[digest].append(at)
    nulls = kept.pop(None, [])
    assert nulls == [at for at, digest in enumerate(digests) if digest is None]
    assert {d: at for d, (at,) in kept.items()} == {
        d: digests.index(d) for d in digests if d is not None
    }


@pytest.mark.parametrize(
    "rows",
    [
        [["a"], ["b"], ["a"]],
        [["a", "b"], None, ["a", "b"]],
        [None, ["a", "b"], None, None, ["ab"]],
        [["a", "b"], ["ab"], ["a"], ["a", "b"]],
    ],
)
def test_equal_turns_have_equal_digests_and_no_others(rows):
    """However many rows have one turn, several, or none."""
    found = digest_turns(batch_of(*rows), column="digest")["digest"].to_pylist()[:-1]
    for at, digest in enumerate(found):
        assert (digest is None) == (rows[at] is None)
        same = [found[other] == digest for other in range(len(rows))]
        assert same == [rows[other] == rows[at] for other in range(len(rows))]
