from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.duplicates import mark_exact_duplicates
from tests.data.corpora import data_spec, source
from tests.data.ledgers import ledger_of

DUPLICATES = {"kind": "exact_duplicates"}


def steps(*kinds: str):
    return data_spec(source("x"), steps=[{"kind": kind} for kind in kinds]).steps


def test_the_row_with_the_smallest_id_is_kept():
    ledger = ledger_of([[]] * 5, digests={"digest_0": [b"a", b"b", b"a", b"a", None]})
    mark_exact_duplicates(ledger, steps("exact_duplicates"))
    assert list(ledger.rejected_by) == [None, None, "exact_duplicate", "exact_duplicate", None]


def test_a_row_that_was_out_before_is_nobodys_original():
    ledger = ledger_of([[]] * 2, digests={"digest_1": [None, b"a"]})
    ledger.rejected_by[0] = "too_few_chars"
    mark_exact_duplicates(ledger, steps("length", "exact_duplicates"))
    assert list(ledger.rejected_by) == ["too_few_chars", None]


def test_what_later_steps_said_of_a_duplicate_does_not_count():
    ledger = ledger_of([[]] * 2, digests={"digest_0": [b"a", b"a"]})
    ledger.rejected_by[:] = "too_long"
    mark_exact_duplicates(ledger, steps("exact_duplicates"))
    assert list(ledger.rejected_by) == ["too_long", "exact_duplicate"]


def test_a_second_step_sees_what_the_first_has_left():
    ledger = ledger_of(
        [[]] * 3, digests={"digest_0": [b"a", b"a", b"b"], "digest_2": [b"x", b"y", b"y"]}
    )
    mark_exact_duplicates(ledger, steps("exact_duplicates", "pii", "exact_duplicates"))
    assert list(ledger.rejected_by) == [None, "exact_duplicate", None]


def test_without_the_step_nothing_is_a_duplicate():
    ledger = ledger_of([[]] * 2)
    mark_exact_duplicates(ledger, steps("unicode"))
    assert list(ledger.rejected_by) == [None, None]


@given(
    st.lists(
        st.one_of(
            st.none(), st.binary(min_size=16, max_size=16), st.sampled_from([b"a" * 16, b"\0" * 16])
        )
    )
)
def test_one_row_of_each_digest_is_kept(digests):
    ledger = ledger_of([[]] * len(digests), digests={"digest_0": digests})
    mark_exact_duplicates(ledger, steps("exact_duplicates"))
    kept = defaultdict(list)
    for at, (digest, reason) in enumerate(zip(digests, ledger.rejected_by, strict=True)):
        if reason is None:
            kept[digest].append(at)
    nulls = kept.pop(None, [])
    assert nulls == [at for at, digest in enumerate(digests) if digest is None]
    assert {d: at for d, (at,) in kept.items()} == {
        d: digests.index(d) for d in digests if d is not None
    }
