import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.masking_utils import find_packed_sequence_indices

from loray.errors import DatasetError
from loray.train.batches import (
    IGNORED,
    BatchSizes,
    collate,
    micro_batches,
    open_tokens,
    sequence_line,
)
from tests.train.sequences import make_rows, write_tokens

sizes_of_parts = st.lists(st.integers(1, 20), min_size=1, max_size=5).map(tuple)


@given(sizes=sizes_of_parts, start=st.integers(0, 120), length=st.integers(1, 120))
def test_any_window_of_the_line_is_a_part_of_the_whole(
    sizes: tuple[int, ...], start: int, length: int
) -> None:
    whole = sequence_line(sizes, seed=7, start=0, stop=start + length)
    assert sequence_line(sizes, seed=7, start=start, stop=start + length) == whole[start:]


@pytest.mark.parametrize("sizes", [(30,), (8, 15, 7)])
def test_every_epoch_is_a_permutation_of_its_own(sizes: tuple[int, ...]) -> None:
    line = sequence_line(sizes, seed=1, start=0, stop=60)
    assert sorted(line[:30]) == sorted(line[30:]) == list(range(30))
    assert line[:30] != line[30:]
    assert line != sequence_line(sizes, seed=2, start=0, stop=60)


def test_an_epoch_ends_with_a_part_before_it_begins_another() -> None:
    sizes = (40, 50, 60)
    line = sequence_line(sizes, seed=3, start=0, stop=600)
    parts = [0 if n < 40 else 1 if n < 90 else 2 for n in line]
    orders = set()
    for epoch in range(4):
        changes = [part for part, _ in itertools.groupby(parts[epoch * 150 : (epoch + 1) * 150])]
        assert sorted(changes) == [0, 1, 2]
        orders.add(tuple(changes))
    assert len(orders) > 1


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 7, 8])
def test_a_step_holds_the_same_rows_for_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    tokens = open_tokens(write_tokens(tmp_path, make_rows(30), per_part=13))
    sizes = BatchSizes(global_size=16, micro_size=2, workers=workers)
    found, num_tokens = [], 0
    for worker in range(workers):
        passes = list(micro_batches(tokens, step=3, seed=5, sizes=sizes, worker=worker))
        assert len(passes) == sizes.passes == math.ceil(8 / workers)
        num_tokens += sum(batch.num_tokens for batch in passes)
        for batch in passes:
            found += [tuple(row[row != 0].tolist()) for row in batch.input_ids if row.any()]
            assert batch.num_targets > 0 or not batch.input_ids.any()
    assert num_tokens == sum(map(len, found))
    line = sequence_line((13, 13, 4), seed=5, start=48, stop=64)
    assert sorted(found) == sorted(tuple(tokens.sequence(i)["input_ids"].tolist()) for i in line)


def test_padding_has_no_targets_and_makes_no_packed_row(tmp_path: Path) -> None:
    tokens = open_tokens(write_tokens(tmp_path, make_rows(6)))
    sequences = [tokens.sequence(i) for i in range(6)]
    batch = collate(sequences)
    shortest = min(range(6), key=lambda i: len(sequences[i]["input_ids"]))
    length = len(sequences[shortest]["input_ids"])
    assert find_packed_sequence_indices(batch.positions) is None
    assert (batch.positions == torch.arange(batch.positions.shape[1])).all()
    assert length < batch.positions.shape[1]
    assert (batch.labels[shortest, length:] == IGNORED).all()
    assert batch.num_tokens == sum(len(s["input_ids"]) for s in sequences)
    assert batch.num_targets == sum(int((s["labels"][1:] != IGNORED).sum()) for s in sequences)


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="quarantine"):
        open_tokens(write_tokens(tmp_path, []))


def test_micro_batches_below_each_other_are_padded_as_one_batch_of_all_rows() -> None:
    from loray.train.batches import joined

    names = ("input_ids", "labels", "positions")
    rows = [{name: np.array(row[name]) for name in names} for row in make_rows(5)]
    found, whole = joined([collate([row]) for row in rows]), collate(rows)
    assert found.num_tokens == whole.num_tokens
    assert found.num_targets == whole.num_targets
    for name in names:
        assert getattr(found, name).equal(getattr(whole, name)), name
    twice = joined([collate(rows[:2]), collate(rows[2:])])
    assert twice.input_ids.equal(whole.input_ids)
    assert twice.labels.equal(whole.labels)
    assert twice.positions.equal(whole.positions)
