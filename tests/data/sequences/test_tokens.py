from itertools import accumulate, pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.artifacts.tokens import TOKENS, TokenParts
from loray.data.sequences.encode import IGNORED
from loray.data.sequences.tokens import BATCH_PACKS, write_tokens
from loray.errors import DatasetError

END = 7


def sequence(pack: int, ids: list[int], labels: list[int] | None = None, num_ends: int = 1) -> dict:
    labels = labels or [IGNORED, *ids[1:]]
    return {
        "pack": pack,
        "id": f"{pack:x}-{len(ids)}",
        "input_ids": ids,
        "labels": labels,
        "num_ends": num_ends,
    }


def table_of(rows: list[dict]) -> pa.Table:
    numbered = [row | {"place": at} for at, row in enumerate(rows)]
    ids = pa.list_(pa.int32())
    schema = pa.schema(
        [
            ("place", pa.int64()),
            ("pack", pa.int64()),
            ("id", pa.string()),
            ("input_ids", ids),
            ("labels", ids),
            ("num_ends", pa.int32()),
        ]
    )
    return pa.Table.from_pylist(numbered, schema)


def written(folder, *tables: pa.Table, part_tokens: int = 1000) -> pa.Table:
    write_tokens(folder, tables, end_token_ids={END}, part_tokens=part_tokens)
    return pa.Table.from_batches(TokenParts(str(folder)).batches(), TOKENS)


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_pack_is_its_sequences_one_after_another(tmp_path):
    rows = [sequence(0, [1, 2, END]), sequence(0, [3, END]), sequence(1, [4, 5, 6, END])]
    first, second = written(tmp_path, table_of(rows)).to_pylist()
    assert first == {
        "input_ids": [1, 2, END, 3, END],
        "labels": [IGNORED, 2, END, IGNORED, END],
        "positions": [0, 1, 2, 0, 1],
        "row_ids": ["0-3", "0-2"],
    }
    assert second["positions"] == [0, 1, 2, 3]
    assert second["row_ids"] == ["1-4"]


packs = st.lists(
    st.lists(st.lists(st.integers(10, 99), min_size=1, max_size=4), min_size=1, max_size=4),
    min_size=1,
    max_size=12,
)


@given(packs, st.data())
def test_the_bytes_do_not_depend_on_how_sequences_arrive(tmp_path_factory, drawn, data):
    folder = tmp_path_factory.mktemp("tokens")
    rows = [sequence(at, [*ids, END]) for at, pack in enumerate(drawn) for ids in pack]
    table = table_of(rows)
    cuts = sorted(data.draw(st.sets(st.integers(0, table.num_rows), max_size=4)))
    edges = [0, *cuts, table.num_rows]
    parts = [table.slice(a, b - a) for a, b in pairwise(edges)]
    whole = written(folder / "one", table, part_tokens=8)
    assert written(folder / "two", *parts, part_tokens=8) == whole
    assert content(folder / "two") == content(folder / "one")
    flat = [ids for row in whole.to_pylist() for ids in row["input_ids"]]
    assert flat == [i for row in rows for i in row["input_ids"]]


def test_packs_are_written_in_batches_that_a_reader_can_map(tmp_path):
    table = table_of([sequence(at, [1, END]) for at in range(BATCH_PACKS + 3)])
    written(tmp_path, table)
    sizes = [batch.num_rows for batch in TokenParts(str(tmp_path)).batches()]
    assert sizes == [BATCH_PACKS, 3]


@given(st.lists(st.integers(2, 12), min_size=1, max_size=40), st.integers(4, 60))
def test_no_file_holds_more_tokens_than_it_may(tmp_path_factory, lengths, most):
    """But one whose only pack is longer; and none is shorter than it need be."""
    folder = tmp_path_factory.mktemp("tokens")
    rows = [sequence(at, [*range(10, 9 + n), END]) for at, n in enumerate(lengths)]
    written(folder, table_of(rows), part_tokens=most)
    parts = TokenParts(str(folder)).index.parts
    assert sum(part.sequences for part in parts) == len(lengths)
    assert sum(part.tokens for part in parts) == sum(lengths)
    assert all(part.tokens <= most or part.sequences == 1 for part in parts)
    starts = accumulate((part.sequences for part in parts), initial=0)
    following = [lengths[at] for at in [*starts][1:-1]]
    assert all(p.tokens + n > most for p, n in zip(parts, following, strict=False))


def test_an_empty_dataset_has_an_empty_token_file(tmp_path):
    assert written(tmp_path, table_of([])).num_rows == 0


@pytest.mark.parametrize(
    ("labels", "num_ends"),
    [
        ([IGNORED, 2, IGNORED], 1),  # the end token is there, but not learned
        ([IGNORED, END, 2], 1),  # an end token is learned, but not last
        ([IGNORED, 2, END], 2),  # two answers, one end
        ([IGNORED] * 3, 0),  # nothing to learn
    ],
)
def test_a_sequence_that_would_not_teach_to_stop_is_refused_by_its_row(tmp_path, labels, num_ends):
    good = sequence(0, [1, 2, END])
    bad = sequence(1, [1, 2, END], labels, num_ends) | {"id": "the-bad-row"}
    with pytest.raises(DatasetError, match="row the-bad-row"):
        written(tmp_path, table_of([good, bad, sequence(2, [1, END])]))


def test_a_piece_of_raw_text_need_not_end(tmp_path):
    assert written(tmp_path, table_of([sequence(0, [1, 2, 3], num_ends=0)])).num_rows == 1
