import numpy as np
import pyarrow as pa
import pytest

from loray.data.batch import ROWS
from loray.data.steps.minhash import NUM_HASHES, band_keys, bands_for, put_bands, signatures
from loray.data.steps.shingles import Shingles
from tests.data.steps.near_copies import rows_of


def random_sets(sizes, seed):
    draw = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return Shingles(draw.integers(0, 2**64, starts[-1], dtype=np.uint64), starts)


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("size", [40, 300])
def test_signatures_estimate_as_well_as_independent_permutations_would(size, similarity):
    draw, shared, count = np.random.default_rng(size), round(size * similarity), 400
    rest = (size - shared) // 2
    hashes, starts = [], [0]
    for _ in range(count):
        values = draw.integers(0, 2**64, shared + 2 * rest, dtype=np.uint64)
        for row in (values[: shared + rest], np.delete(values, slice(shared, shared + rest))):
            hashes.append(row)
            starts.append(starts[-1] + len(row))
    found = signatures(Shingles(np.concatenate(hashes), np.array(starts)))
    true = shared / (shared + 2 * rest)
    errors = (found[::2] == found[1::2]).mean(axis=1) - true
    expected = np.sqrt(true * (1 - true) / NUM_HASHES)
    assert np.sqrt((errors**2).mean()) < 1.25 * expected
    assert abs(errors.mean()) < 4 * expected / np.sqrt(count)


@pytest.mark.parametrize("threshold", [0.5, 0.55, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0])
def test_bands_miss_few_at_the_threshold_and_fit_the_ledger(threshold):
    bands = bands_for(threshold)
    assert bands.num_bands * bands.num_rows == bands.num_hashes <= NUM_HASHES
    assert 1 - (1 - threshold**bands.num_rows) ** bands.num_bands >= 0.998
    assert 4 * bands.num_bands <= 200


def test_signatures_do_not_depend_on_the_rows_beside():
    sets = random_sets([0, 5, 40_000, 0, 1, 700], seed=1)
    together = signatures(sets)
    for row in range(6):
        start, end = sets.starts[row : row + 2]
        alone = signatures(Shingles(sets.hashes[start:end], np.array([0, end - start])))
        assert (alone == together[row]).all()


def test_equal_sets_agree_in_all_bands_and_others_in_none():
    sets = random_sets([50, 50], seed=2)
    again = Shingles(np.concatenate([sets.hashes, sets.hashes[::-1]]), np.arange(0, 201, 50))
    keys = band_keys(signatures(again), bands_for(0.8))
    assert (keys[0] == keys[3]).all()
    assert (keys[0] != keys[1]).all()


def test_rows_that_are_out_and_rows_without_words_have_no_keys():
    batch = rows_of([["ask", "reply"], None, ["", " "], ["one"], ["?", "!"]])
    keys = put_bands(batch, column="bands_3", bands=bands_for(0.8))["bands_3"].to_pylist()
    assert [key is not None for key in keys] == [True, False, False, True, True, False]
    assert {len(key) for key in keys if key} == {64}


def test_what_stands_before_the_last_question_makes_no_key():
    turns = [["user", "a b"], ["assistant", "c d"], ["user", "e f"], ["assistant", "g"]]
    rows = [turns, [["system", "x y z"], *turns[2:]], turns[2:], turns[:2]]
    table = pa.Table.from_pylist(
        [
            {"id": f"{at:016x}", "turns": [{"role": r, "content": c} for r, c in row]}
            for at, row in enumerate(rows)
        ],
        ROWS,
    )
    keys = put_bands(table, column="bands_0", bands=bands_for(0.8))["bands_0"].to_pylist()
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_batch_without_rows_has_no_keys():
    batch = put_bands(rows_of([])[:0], column="bands_0", bands=bands_for(0.8))
    assert batch["bands_0"].to_pylist() == []
