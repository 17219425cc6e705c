import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.data.sources import blocks, rows
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.errors import SourceError
from tests.data.corpora import data_spec, pairs, source, write_jsonl


def read(*sources):
    """All rows but tallies, with the line numbers that tallies lead to, as the ledger does it."""
    rows, before = [], {}
    for block in cut_into_blocks(find_files(data_spec(*sources))):
        found = pa.concat_tables(read_block(block)).to_pylist()
        *mine, tally = found
        base = before.get(block.file.key, 0)
        rows += [row | {"line": row["line"] + base, "block": 0, "seconds": None} for row in mine]
        assert tally["id"] is None
        before[block.file.key] = base + tally["line"]
    return rows


def test_a_row_keeps_its_file_its_line_and_its_text(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", ["", *pairs(2), "  ", *pairs(1, 5)])
    rows = read(source(path))
    assert [row["line"] for row in rows] == [2, 3, 5]
    assert {row["source"] for row in rows} == {"sources.0/x.jsonl"}
    assert rows[2]["turns"][0] == {"role": "user", "content": "what is 5?"}
    assert rows[0]["rejected_by"] is None


@pytest.mark.parametrize("size", [37, 100, 1000])
def test_rows_are_the_same_however_a_file_is_cut(tmp_path, monkeypatch, size):
    path = write_jsonl(tmp_path / "x.jsonl", [*pairs(50), "broken", "", *pairs(20, 50)])
    whole = read(source(path))
    monkeypatch.setattr(blocks, "MIN_BLOCK_BYTES", size)
    monkeypatch.setattr(blocks, "MAX_BLOCK_BYTES", size)
    monkeypatch.setattr(rows, "BATCH_ROWS", 7)
    assert read(source(path)) == whole
    assert len(whole) == 71


def test_a_compressed_file_has_the_rows_of_a_plain_one(tmp_path):
    plain = read(source(write_jsonl(tmp_path / "a" / "x.jsonl", pairs(30))))
    packed = read(source(write_jsonl(tmp_path / "b" / "x.jsonl.gz", pairs(30))))
    assert [row["turns"] for row in packed] == [row["turns"] for row in plain]
    assert [row["line"] for row in packed] == [row["line"] for row in plain]


def test_equal_rows_have_different_ids_but_one_group(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", pairs(1) * 2)
    first, second = read(source(path))
    assert first["id"] != second["id"]
    assert first["group"] == second["group"]
    named = {"prompt": "ask", "completion": "reply", "group": "book"}
    assert [row["group"] for row in read(source(path, fields=named))] == ["b0", "b0"]


def test_a_row_that_cannot_be_read_keeps_its_raw_text(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", [b'{"ask": "caf\xe9"}', '{"ask": ', {"ask": 1}])
    assert [(row["rejected_by"], row["raw"]) for row in read(source(path))] == [
        ("invalid_utf8", '{"ask": "caf\\xe9"}'),
        ("malformed_json", '{"ask": '),
        ("field_not_text", '{"ask": 1}'),
    ]


def test_raw_text_is_kept_up_to_a_limit(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", ["x" * 1_000_000])
    assert len(read(source(path))[0]["raw"]) == rows.RAW_CHARS


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_row(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(r).encode() for r in pairs(2)))
    assert [row["rejected_by"] for row in read(source(path))] == [None, None]


def test_parquet_rows_are_those_of_the_same_json_lines(tmp_path):
    rows = pairs(50)
    jsonl = read(source(write_jsonl(tmp_path / "x.jsonl", rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet", row_group_size=7)
    parquet = read(source(tmp_path / "x.parquet", "parquet"))
    for name in ("turns", "line", "group"):
        assert [row[name] for row in parquet] == [row[name] for row in jsonl]
    assert len({row["id"] for row in parquet}) == 50


def test_parquet_rows_do_not_depend_on_row_groups(tmp_path):
    found = []
    for size in (3, 50):
        pq.write_table(pa.Table.from_pylist(pairs(50)), tmp_path / "x.parquet", row_group_size=size)
        found.append(read(source(tmp_path / "x.parquet", "parquet")))
    assert found[0] == found[1]


def test_a_parquet_row_with_a_fault_is_rejected(tmp_path):
    good = ["a", None, " ", "d"]
    bad = pa.array([b"a", b"b", b"c", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"ask": bad, "reply": good}), tmp_path / "x.parquet")
    assert [row["rejected_by"] for row in read(source(tmp_path / "x.parquet", "parquet"))] == [
        None,
        "missing_field",
        "empty_completion",
        "invalid_utf8",
    ]


def test_parquet_conversations_and_whole_number_groups_are_read(tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    pq.write_table(pa.table({"m": [turns, None], "g": [7, 8]}), tmp_path / "x.parquet")
    fields = {"messages": "m", "group": "g"}
    first, second = read(source(tmp_path / "x.parquet", "parquet", fields))
    assert (first["turns"], first["group"]) == (turns, "7")
    assert second["rejected_by"] == "missing_field"


@pytest.mark.parametrize(
    ("columns", "fields", "message"),
    [
        ({"ask": ["a"]}, None, r"no column 'reply', only \['ask'\]"),
        ({"ask": [1], "reply": ["a"]}, None, "'ask' is of type int64; wanted text"),
        ({"m": [1]}, {"messages": "m"}, "wanted a list of structs"),
        ({"t": ["x"], "g": [1.5]}, {"text": "t", "group": "g"}, "wanted text or whole numbers"),
    ],
)
def test_a_parquet_file_that_does_not_fit_the_spec_is_refused_at_once(
    tmp_path, columns, fields, message
):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=message):
        cut_into_blocks(find_files(data_spec(source(tmp_path / "x.parquet", "parquet", fields))))


def test_a_torn_parquet_file_is_refused_at_once(tmp_path):
    pq.write_table(pa.Table.from_pylist(pairs(50)), tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data[:-10])
    with pytest.raises(SourceError, match="no readable Parquet file"):
        cut_into_blocks(find_files(data_spec(source(tmp_path / "x.parquet", "parquet"))))


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.parquet"])
def test_rows_in_a_bucket_are_those_on_disk(tmp_path, lake, s3_endpoint, monkeypatch, name):
    monkeypatch.setattr(blocks, "MIN_BLOCK_BYTES", 500)
    rows, kind = pairs(60), "parquet" if name.endswith("parquet") else "jsonl"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name, row_group_size=25)
    else:
        write_jsonl(tmp_path / name, rows)
    with lake.open_output_stream(f"lake/rows/{name}", compression=None) as stream:
        stream.write((tmp_path / name).read_bytes())
    there = source(f"s3://lake/rows/{name}", kind, s3={"endpoint": s3_endpoint})
    assert read(there) == read(source(tmp_path / name, kind))


def test_long_texts_end_a_batch_early(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "BATCH_BYTES", 1000)
    texts = [{"text": "x" * 400} for _ in range(7)]
    path = write_jsonl(tmp_path / "x.jsonl.gz", texts)
    spec = data_spec(source(path, fields={"text": "text"}))
    (block,) = cut_into_blocks(find_files(spec))
    assert [table.num_rows for table in read_block(block)] == [3, 3, 2]


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_a_corpus_of_empty_files_is_refused_at_once(tmp_path, name):
    kind = "parquet" if name.endswith("parquet") else "jsonl"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(pairs(1)).slice(0, 0), tmp_path / name)
    else:
        write_jsonl(tmp_path / name, [])
    with pytest.raises(SourceError, match=r"no row at all: sources\.0/x"):
        cut_into_blocks(find_files(data_spec(source(tmp_path / name, kind))))
