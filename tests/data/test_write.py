import pyarrow as pa
import pyarrow.parquet as pq

from loray.data import write
from loray.data.batch import ROWS, TURNS, put
from loray.data.write import HELD_OUT, KEPT, QUARANTINED, PartWriter, Settle, write_rows
from tests.data.corpora import batch_of
from tests.data.ledgers import ledger_of


def settled(*records: dict) -> pa.Table:
    """Rows as `Settle` leaves them."""
    names = [*QUARANTINED.names, "texts"]
    base = batch_of(*[record.get("turns") for record in records]).slice(0, len(records))
    base = put(base, "split", pa.array([r.get("split", "train") for r in records]))
    base = put(base, "suite", pa.array([r.get("suite", "task") for r in records]))
    base = put(base, "rejected_by", pa.array([r.get("rejected_by") for r in records], pa.string()))
    texts = pa.array([r.get("texts", []) for r in records], pa.list_(pa.string()))
    return put(base, "texts", texts).select(names)


def test_kept_quarantined_and_held_out_rows_go_to_their_files(tmp_path):
    batch = settled(
        {"turns": ["a", "b"]},
        {"turns": ["c", "d"], "split": "test"},
        {"turns": ["e", "f"], "split": "validation"},
        {"turns": ["g", "h"], "split": "test", "suite": "replay"},
        {"turns": ["i", "j"], "split": "test", "rejected_by": "too_long"},
        {"rejected_by": "malformed_json"},
    )
    assert write_rows(tmp_path, [batch], has_replay=True) == {
        "validation": 1,
        "test": 1,
        "general": 1,
    }
    assert pq.read_table(tmp_path / "rows" / "part-00000.parquet").schema == KEPT
    assert pq.read_table(tmp_path / "rows" / "part-00000.parquet")["line"].to_pylist() == [
        0,
        1,
        2,
        3,
    ]
    rejected = pq.read_table(tmp_path / "quarantine" / "part-00000.parquet")
    assert rejected["rejected_by"].to_pylist() == ["too_long", "malformed_json"]
    assert rejected["turns"][1].as_py() is None
    (test,) = pq.read_table(tmp_path / "eval" / "test.parquet").to_pylist()
    assert test["prompt"] == [{"role": "user", "content": "c"}]
    assert test["reference"] == "d"


def test_the_note_of_a_duplicate_names_the_row_that_is_kept_and_how_like_it_is():
    ledger = ledger_of([[]] * 3)
    ledger.original[1:], ledger.rejected_by[1:] = 0, ["near_duplicate", "exact_duplicate"]
    ledger.similarity[1] = 0.8765
    batch = batch_of(*[["a", "b"]] * 3)
    ids = [f"{number:016x}" for number in ledger.ids]
    batch = put(batch, "id", pa.array([*ids, None], pa.string()))
    texts = pa.array([[]] * 4, pa.list_(pa.string()))
    batch = put(put(batch, "split", pa.array(["train"] * 4)), "texts", texts)
    assert Settle.of(ledger)(batch)["note"].to_pylist() == [
        None,
        f"{ids[0]} is kept in its stead; their similarity is 0.877",
        f"{ids[0]} is kept in its stead",
    ]


def test_a_conversation_is_scored_on_its_last_answer(tmp_path):
    batch = settled({"turns": ["a", "b", "c", "d", "e"], "split": "test"})
    write_rows(tmp_path, [batch], has_replay=False)
    (row,) = pq.read_table(tmp_path / "eval" / "test.parquet").to_pylist()
    assert [turn["content"] for turn in row["prompt"]] == ["a", "b", "c"]
    assert row["reference"] == "d"


def test_held_out_raw_text_is_scored_by_its_pieces(tmp_path):
    batch = settled({"turns": ["ab"], "split": "test", "texts": ["a", "b"]})
    write_rows(tmp_path, [batch], has_replay=False)
    rows = pq.read_table(tmp_path / "eval" / "test.parquet").to_pylist()
    assert [(row["prompt"], row["reference"]) for row in rows] == [([], "a"), ([], "b")]
    assert len({row["id"] for row in rows}) == 2


def test_without_rows_every_file_is_there_and_empty(tmp_path):
    assert write_rows(tmp_path, [], has_replay=False) == {"validation": 0, "test": 0}
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.parquet"))
    assert names == [
        "eval/test.parquet",
        "eval/validation.parquet",
        "quarantine/part-00000.parquet",
        "rows/part-00000.parquet",
    ]
    assert pq.read_table(tmp_path / "eval" / "test.parquet").schema == HELD_OUT


def test_parts_do_not_depend_on_how_rows_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "GROUP_ROWS", 4)
    monkeypatch.setattr(write, "PART_GROUPS", 2)
    schema = pa.schema([("x", pa.int64())])
    table = pa.table({"x": list(range(19))})
    for name, sizes in (("one", [19]), ("many", [1, 3, 5, 0, 2, 8])):
        with PartWriter(tmp_path / name, schema) as writer:
            at = 0
            for size in sizes:
                writer.add(table.slice(at, size))
                at += size
        assert writer.num_rows == 19
    one, many = (sorted((tmp_path / name).iterdir()) for name in ("one", "many"))
    assert [path.name for path in one] == [f"part-0000{n}.parquet" for n in range(3)]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in many]
    assert [x for path in one for x in pq.read_table(path)["x"].to_pylist()] == list(range(19))


def test_columns_of_rows_are_those_of_the_stream():
    assert ROWS.field("turns").type == KEPT.field("turns").type == TURNS
