import numpy as np
import pyarrow as pa
import pytest

from loray.data.batch import turn_lists
from loray.data.ids import row_numbers
from tests.data.corpora import batch_of


def columns() -> list[pa.Table]:
    whole = batch_of(["a", "b"], None, ["c", "d", "e", "f"], ["\u00fc", ""])
    return [whole, whole.slice(1, 3), pa.concat_tables([whole, whole.slice(2)]), whole.slice(1, 1)]


@pytest.mark.parametrize("batch", columns())
def test_turns_are_what_arrow_gives(batch):
    assert turn_lists(batch["turns"]) == batch["turns"].to_pylist()


@pytest.mark.parametrize("batch", columns())
def test_row_numbers_are_the_ids_whatever_part_of_an_array_they_are_in(batch):
    rows = batch.filter(batch["id"].is_valid())
    for ids in (rows["id"], rows["id"].slice(1), rows.slice(1)["id"].combine_chunks().slice(0, 1)):
        column = ids if isinstance(ids, pa.ChunkedArray) else pa.chunked_array([ids])
        wanted = [int(digits, 16) for digits in column.to_pylist()]
        assert row_numbers(column).tolist() == wanted
        assert row_numbers(column).dtype == np.uint64
