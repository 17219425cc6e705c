import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data import exchange
from loray.data.exchange import in_groups, in_order, put_through


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7))
def test_groups_hold_the_rows_in_order_and_are_full_but_for_the_last(sizes, size):
    values = iter(range(sum(sizes)))
    tables = [
        pa.table({"x": pa.array([next(values) for _ in range(n)], pa.int64())}) for n in sizes
    ]
    groups = list(in_groups(tables, size))
    assert [x for group in groups for x in group["x"].to_pylist()] == list(range(sum(sizes)))
    assert all(group.num_rows == size for group in groups[:-1])
    assert all(0 < group.num_rows <= size for group in groups[-1:])


def doubled(batch: pa.Table) -> pa.Table:
    """Each row twice, so that a stage may give other rows than it takes."""
    again = pa.array(["again"] * len(batch), pa.string())
    return pa.concat_tables([batch, batch.set_column(1, "text", again)])


def only_first(rows: pa.Table) -> pa.Table:
    """One row of each key."""
    keys = rows["key"].to_numpy()
    return rows.filter(pa.array(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(rows)]))


@pytest.fixture(scope="module")
def held(ray_cluster):
    """Sixty blocks, some of them empty, with keys in no order."""
    import ray.data

    keys = np.random.default_rng(0).permutation(900)
    sizes = [0, 15, 30] * 20
    ends = np.cumsum(sizes)
    tables = [
        pa.table({"key": part, "text": pa.array([f"{key:04d}" for key in part], pa.string())})
        for part in np.split(keys, ends[:-1])
    ]
    return ray.data.from_arrow(tables).materialize()


@pytest.mark.ray
@pytest.mark.parametrize(("range_bytes", "fanout"), [(1 << 20, 32), (2000, 32), (1, 2), (1, 7)])
def test_rows_come_in_order_whatever_the_ranges(held, range_bytes, fanout, monkeypatch):
    monkeypatch.setattr(exchange, "RANGE_BYTES", range_bytes)
    monkeypatch.setattr(exchange, "FANOUT", fanout)
    rows = pa.concat_tables(in_order(held, doubled, "key", 900))
    assert rows["key"].to_pylist() == [key for key in range(900) for _ in range(2)]
    assert set(rows["text"].to_pylist()) == {f"{key:04d}" for key in range(900)} | {"again"}
    finished = pa.concat_tables(in_order(held, doubled, "key", 900, only_first))
    assert finished["key"].to_pylist() == list(range(900))


@pytest.mark.ray
def test_a_table_may_hold_many_blocks(held, monkeypatch):
    import ray

    monkeypatch.setattr(exchange, "RANGE_BYTES", 2000)
    batches = ray.get(put_through(held, doubled))
    assert 3 < len(batches) < 60
    assert sorted(key for batch in batches for key in batch["key"].to_pylist()) == sorted(
        key for key in range(900) for _ in range(2)
    )


def only_small(batch: pa.Table) -> pa.Table:
    """A few rows, all of one key."""
    few = batch.filter(pa.array(batch["key"].to_numpy() < 20))
    return few.append_column("one", pa.array([0] * len(few), pa.int64()))


@pytest.mark.ray
def test_rows_of_a_single_key_are_picked_from_many_groups(held, monkeypatch):
    monkeypatch.setattr(exchange, "RANGE_BYTES", 2000)
    rows = pa.concat_tables(in_order(held, only_small, "one", 1))
    assert sorted(rows["key"].to_pylist()) == list(range(20))


@pytest.mark.ray
def test_groups_are_of_a_size_however_uneven_blocks_are(ray_cluster, monkeypatch):
    import ray.data

    sizes = [1] * 30 + [1000, 1000] + [1] * 3
    tables = [pa.table({"key": np.zeros(size, dtype=np.int64)}) for size in sizes]
    monkeypatch.setattr(exchange, "RANGE_BYTES", 8000)
    groups = exchange._groups(ray.data.from_arrow(tables).materialize())
    assert [len(group) for group in groups] == [30, 1, 1, 3]
