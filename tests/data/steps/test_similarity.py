import numpy as np
import pyarrow as pa
import pytest

from loray.data.steps.candidates import CROWD, Crowds
from loray.data.steps.similarity import CompareChunks, Rule, ShingleRows, chunked, compare_here
from tests.data.steps.near_copies import plain_jaccard, planted, rows_of

pytestmark = pytest.mark.slow  # seconds each: the second half of make test

RULE = Rule(0.8, by_answers=True)
NOBODY = Crowds(np.empty(0, dtype=np.int64), np.empty((0, CROWD), dtype=np.int32))


@pytest.fixture(scope="module")
def corpus():
    rows = [row for pair in planted(60, seed=4, num_words=40) for row in pair]
    table = rows_of([*rows, None, ["...", "!"]]).slice(0, 122)
    ids = np.array([int(digits, 16) for digits in table["id"].to_pylist()], dtype=np.uint64)
    order = np.argsort(ids)
    conversations = [[*rows, [], []][at] for at in order]
    return [table.slice(at, 17) for at in range(0, 122, 17)], ids[order], conversations


@pytest.fixture(scope="module")
def pairs(corpus):
    draw = np.random.default_rng(0)
    _, ids, conversations = corpus
    found = draw.integers(0, len(ids), (3000, 2))
    has_words = np.array([bool(row) for row in conversations])
    return found[has_words[found].all(axis=1)]


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("by_answers", [False, True])
def test_alike_is_what_a_plain_account_says(corpus, pairs, threshold, by_answers):
    batches, ids, rows = corpus
    rule = Rule(threshold, by_answers)
    found = compare_here(lambda stage: map(stage, batches), ids, pairs, NOBODY, rule)
    compared = ["01", "1"] if by_answers else ["01"]
    likeness = [[plain_jaccard(rows[a], rows[b], turns) for turns in compared] for a, b in pairs]
    assert found.tolist() == [each[0] if min(each) >= threshold else 0 for each in likeness]
    assert found.any()


def crowds_around(pairs):
    """Some rows of the pairs with whatever rows come after them for a crowd."""
    rows = np.unique(pairs)
    near = [np.roll(rows, -distance)[:50] for distance in range(1, CROWD + 1)]
    return Crowds(rows[:50], np.stack(near, axis=1).astype(np.int32))


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_chunks_by_themselves_or_together_find_what_one_comparison_finds(corpus, pairs, at_once):
    batches, ids, _ = corpus
    crowds = crowds_around(pairs)
    whole = compare_here(lambda stage: map(stage, batches), ids, pairs, crowds, RULE)
    order, bounds, visits = chunked(pairs, crowds, 64)
    sent = pa.concat_tables(map(ShingleRows(ids, visits), batches)).sort_by("chunk")
    compare = CompareChunks(pairs[order], bounds, crowds, RULE)
    similarity = np.zeros(len(pairs))
    for first in range(0, len(bounds) - 1, at_once):
        chunks = sent["chunk"].to_numpy()
        rows = sent.filter(pa.array((chunks >= first) & (chunks < first + at_once)))
        found = compare(rows)
        similarity[order[found["pair"].to_numpy()]] = found["similarity"].to_numpy()
    assert similarity.tolist() == whole.tolist()
    assert whole.any()


def test_rows_of_which_a_later_step_left_no_word_are_not_alike():
    table = rows_of([["", ""], ["", ""]])[:2]
    ids = np.array(sorted(int(digits, 16) for digits in table["id"].to_pylist()), dtype=np.uint64)
    pairs = np.array([[0, 1]])
    assert compare_here(lambda stage: [stage(table)], ids, pairs, NOBODY, RULE).tolist() == [0]


def test_no_pairs_need_no_rows():
    nothing = np.empty((0, 2), dtype=np.int64)
    found = compare_here(lambda stage: [], np.empty(0, dtype=np.uint64), nothing, NOBODY, RULE)
    assert found.tolist() == []
