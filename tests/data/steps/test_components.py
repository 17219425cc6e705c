import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.components import Components

edges = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40)


def pairs_of(found):
    return np.array(found, dtype=np.int64).reshape(-1, 2)


@given(st.lists(edges, max_size=4))
def test_the_root_is_the_smallest_that_can_be_reached(parts):
    components = Components(20)
    joined = [components.unite(pairs_of(part)) for part in parts]
    reached = {row: {row} for row in range(20)}
    for one, other in (edge for part in parts for edge in part):
        both = reached[one] | reached[other]
        for row in both:
            reached[row] = both
    assert components.roots().tolist() == [min(reached[row]) for row in range(20)]
    assert sum(map(len, joined)) == 20 - len(set(components.roots().tolist()))


def test_a_long_chain_is_one_component():
    components = Components(50_000)
    at = np.arange(49_999)
    components.unite(np.stack([at, at + 1], axis=1)[::-1])
    assert not components.roots().any()
    assert len(components.apart(pairs_of([(3, 9)]))) == 0
