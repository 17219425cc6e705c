from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from loray.data.steps.candidates import CROWD, WINDOW, crowds_of, heads, neighbours

tables = hnp.arrays(
    np.uint32, st.tuples(st.integers(0, 8), st.integers(1, 4)), elements=st.integers(0, 3)
)


def pairs_in(keys, window):
    return {tuple(pair) for pairs in neighbours(keys, window) for pair in pairs.tolist()}


@given(tables)
def test_a_small_bucket_gives_all_its_pairs(keys):
    rows = range(len(keys))
    expected = {(a, b) for a, b in combinations(rows, 2) if (keys[a] == keys[b]).any()}
    assert pairs_in(keys, WINDOW) == expected


def test_a_large_bucket_gives_so_many_pairs_a_row_and_the_likeliest_first():
    draw = np.random.default_rng(0)
    keys = draw.integers(0, 2**32, (3000, 5), dtype=np.uint32)
    keys[:, 0] = 7
    keys[1:3000:300, 1] = 9
    pairs = pairs_in(keys, WINDOW)
    assert len(pairs) <= 2 * WINDOW * len(keys)
    assert {(1, 301), (301, 601), (2401, 2701)} <= pairs


def test_neighbours_link_each_bucket_from_end_to_end():
    keys = np.repeat(np.array([[4], [5]], dtype=np.uint32), 50, axis=0)
    assert pairs_in(keys, 1) == {(at, at + 1) for at in range(99) if at != 49}


@given(tables)
def test_a_head_is_the_smallest_row_of_its_bucket(keys):
    found = {tuple(pair) for pairs in heads(keys) for pair in pairs.tolist()}
    assert found == {
        (int(np.flatnonzero(keys[:, band] == keys[at, band])[0]), at)
        for at in range(len(keys))
        for band in range(keys.shape[1])
        if (keys[:at, band] == keys[at, band]).any()
    }


@given(tables)
def test_a_crowd_is_made_of_rows_of_the_same_buckets(keys):
    crowds = crowds_of(keys)
    for row in range(len(keys)):
        others = [at for at in range(len(keys)) if at != row and (keys[at] == keys[row]).any()]
        members = crowds.of(row)
        assert len(members) == len(set(members)) <= CROWD
        assert set(members) <= set(others)
        assert bool(members) == bool(others)


def test_a_crowd_is_taken_from_all_over_a_large_bucket():
    keys = np.zeros((2000, 3), dtype=np.uint32)
    crowds = crowds_of(keys)
    assert len(crowds.of(1000)) == CROWD
    assert max(abs(member - 1000) for member in crowds.of(1000)) > 10
    named = crowds.around(np.array([3, 1000])).renamed(np.arange(2000) * 2)
    assert named.of(2000) == [2 * member for member in crowds.of(1000)]
    assert named.of(1998) == []
