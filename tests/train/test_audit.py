"""Rows that are to blame, named."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.artifacts.diagnosis import Diagnosis, SuspectRow
from loray.artifacts.tokens import TokenParts
from tests.train.loops import build, step_through
from tests.train.sequences import Row, ended, make_rows, make_spec, pack, write_tokens

END = 7


def distinct(count: int) -> list[Row]:
    """Rows of which no two are equal."""
    found = {str(row["input_ids"][:-1]): row for row in make_rows(4 * count)}
    rows = list(found.values())[:count]
    for at, row in enumerate(rows):
        row["row_ids"] = [f"{at:016x}"]
    return rows


def faults_of(folder: Path, rows):
    from loray.train.audit import row_faults

    return row_faults(TokenParts(write_tokens(folder, rows)))


def test_sound_rows_have_no_faults(tmp_path):
    assert faults_of(tmp_path, ended(distinct(60), END)) is None
    assert faults_of(tmp_path, pack(ended(distinct(60), END), per_sequence=4)) is None


@pytest.mark.parametrize("per_sequence", [1, 5])
def test_answers_that_do_not_end_are_found_among_those_that_do(tmp_path, per_sequence):
    rows = ended(distinct(60), END)
    for row in rows[::3]:
        row["input_ids"][-1] = row["labels"][-1] = 9 + row["input_ids"][0]
    found = faults_of(tmp_path, pack(rows, per_sequence=per_sequence))
    assert found.kind == "row_faults"
    assert "20 of the first 60 rows" in found.seen
    assert {row.why for row in found.rows} == {"its answer does not end with an end token"}
    assert {row.id for row in found.rows} <= {row["row_ids"][0] for row in rows[::3]}


def test_rows_of_which_nothing_is_learned_and_twins_are_found(tmp_path):
    rows = ended(distinct(60), END)
    rows[5]["labels"] = [-100] * len(rows[5]["labels"])
    rows[9] = {**rows[8], "row_ids": rows[9]["row_ids"]}
    found = faults_of(tmp_path, rows)
    assert {(row.id, row.why) for row in found.rows} == {
        (f"{5:016x}", "nothing in it is learned"),
        (f"{9:016x}", f"the same tokens as row {8:016x}"),
    }


def test_raw_text_needs_no_end(tmp_path):
    rows = distinct(60)
    for row in rows:
        row["labels"] = [-100, *row["input_ids"][1:]]
    assert faults_of(tmp_path, rows) is None


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_the_rows_that_cost_most_are_named(tmp_path, model):
    from loray.train.audit import suspect_rows
    from loray.train.batches import BatchSizes

    spec = make_spec(
        model,
        base_model__quantization="none",
        method={"kind": "full"},
        train__steps=60,
        train__optimizer={"learning_rate": 1e-2},
    )
    rows = distinct(64)
    looped = build(spec)
    step_through(looped, spec, write_tokens(tmp_path / "sound", rows), range(60))
    assert looped.losses[-1] < 0.5 * looped.losses[0]
    odd = [3, 17, 40]
    draw = np.random.default_rng(0)
    for at in odd:
        ids = draw.integers(20, 250, len(rows[at]["input_ids"])).tolist()
        rows[at] |= {"input_ids": ids, "labels": [-100, -100, *ids[2:]]}
    tokens = TokenParts(write_tokens(tmp_path / "poisoned", pack(rows, per_sequence=2)))
    sizes = BatchSizes(8, 4, workers=1)
    found = suspect_rows(looped.engine, tokens, range(4), seed=3, sizes=sizes, worker=0)
    assert {row.id for row in found} == {f"{at:016x}" for at in odd}
    assert all("nats a token" in row.why for row in found)


def test_rows_get_their_place_from_the_dataset(tmp_path):
    from loray.train.places import with_places

    found = [Diagnosis("spike", 3, "a", "b", (SuspectRow("00aa", "x"), SuspectRow("00cc", "y")))]
    assert with_places(found, str(tmp_path)) == found
    (tmp_path / "rows").mkdir()
    table = pa.table({"id": ["00aa", "00bb"], "source": ["s/a.jsonl", "s/b.jsonl"], "line": [4, 5]})
    pq.write_table(table, tmp_path / "rows" / "part-00000.parquet")
    places = [row.place for row in with_places(found, str(tmp_path))[0].rows]
    assert places == ["s/a.jsonl:4", None]
