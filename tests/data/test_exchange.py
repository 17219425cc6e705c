import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from loray.data.exchange import in_groups


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
