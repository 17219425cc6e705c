import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loray.data.sequences.packing import best_fit, place_sequences
from tests.data.ledgers import ledger_of

lengths = st.lists(st.lists(st.integers(1, 50), max_size=3), max_size=60)


@given(lengths, st.booleans(), st.integers(0, 9))
def test_every_sequence_has_one_place_in_a_pack_that_it_fits(rows, is_packing, seed):
    ledger = ledger_of(rows)
    num_packs = place_sequences(ledger, max_tokens=50, is_packing=is_packing, seed=seed)
    found = ledger.sequences
    assert sorted(found.place) == list(range(len(found)))
    sums = np.bincount(found.pack, weights=found.length, minlength=num_packs)
    assert all(0 < total <= 50 for total in sums)
    assert len(sums) == num_packs
    by_place = found.pack[np.argsort(found.place)]
    assert list(by_place) == sorted(by_place)
    if not is_packing:
        assert num_packs == len(found)


@given(st.lists(st.integers(1, 50), max_size=80))
def test_packs_are_hardly_more_than_the_fewest_possible(sizes):
    decreasing = sorted(sizes, reverse=True)
    packs = best_fit(decreasing, 50)
    num_packs = len(set(packs.tolist()))
    lower_bound = -(-sum(sizes) // 50)
    assert num_packs <= 11 / 9 * max(lower_bound, sum(n > 25 for n in sizes)) * 1.25 + 4
    rooms = Counter()
    for pack, size in zip(packs, decreasing, strict=True):
        rooms[pack] += size
    assert sum(room <= 25 for room in rooms.values()) <= 1


def test_the_fullest_pack_that_has_room_is_chosen():
    assert best_fit([6, 5, 4, 3, 2], 10).tolist() == [0, 1, 0, 1, 1]


def test_short_rows_fill_packs_almost_wholly():
    draw = random.Random(0)
    sizes = sorted((draw.randint(10, 200) for _ in range(5000)), reverse=True)
    num_packs = int(best_fit(sizes, 1024).max()) + 1
    assert sum(sizes) / (num_packs * 1024) > 0.99


def test_rejected_and_undrawn_rows_get_no_place():
    ledger = ledger_of([[10], [10], [10, 10]])
    ledger.rejected_by[0] = "exact_duplicate"
    ledger.sequences.is_used[3] = False
    assert place_sequences(ledger, max_tokens=50, is_packing=True, seed=0) == 1
    assert ledger.sequences.place.tolist() == [-1, 0, 1, -1]


def test_packs_come_in_a_seeded_order_that_is_not_by_length():
    draw = random.Random(0)
    rows = [[draw.randint(1, 50)] for _ in range(300)]
    orders = []
    for seed in (0, 0, 1):
        ledger = ledger_of(rows)
        place_sequences(ledger, max_tokens=50, is_packing=False, seed=seed)
        orders.append(ledger.sequences.length[np.argsort(ledger.sequences.place)].tolist())
    assert orders[0] == orders[1] != orders[2]
    first, last = np.mean(orders[0][:100]), np.mean(orders[0][-100:])
    assert abs(first - last) < 8
