import gzip

import pytest

from loray.data.sources import lines, plain_text
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.records import FaultError
from tests.data.corpora import file_at

TEXT = "one\ntwo\n\n\nthree\n \nfour\n"


def texts_of(path, **more):
    file = file_at(path, "text", **more)
    return [
        (f.number, str(f.record) if isinstance(f.record, FaultError) else f.record["text"])
        for start, end in plain_text.spans(file, file.source, 1 << 20)
        for f in plain_text.read_records(file, file.source, start, end)
    ]


@pytest.mark.parametrize(
    ("per", "wanted"),
    [
        ("file", [(1, TEXT.removesuffix("\n"))]),
        ("paragraph", [(1, "one\ntwo"), (5, "three"), (7, "four")]),
        ("line", [(1, "one"), (2, "two"), (5, "three"), (7, "four")]),
    ],
)
@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
def test_a_row_is_a_file_a_paragraph_or_a_line(tmp_path, per, wanted, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if name.endswith(".gz") else TEXT.encode())
    assert texts_of(path, per=per) == wanted


def test_lines_are_read_from_the_middle_of_a_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("".join(f"line {n}\n" for n in range(100)))
    file = file_at(path, "text", per="line")
    parts = plain_text.spans(file, file.source, 100)
    assert len(parts) > 5
    found = [
        f.record["text"]
        for start, end in parts
        for f in plain_text.read_records(file, file.source, start, end)
    ]
    assert found == [f"line {n}" for n in range(100)]


def test_what_is_too_long_or_no_text_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 40)
    path = tmp_path / "x.txt"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(10)))
    assert texts_of(path)[0] == (1, "text_too_long")
    path.write_bytes(b"good\n\n\xff\n")
    assert texts_of(path, per="paragraph") == [(1, "good"), (3, "invalid_utf8")]


@pytest.mark.parametrize(("group", "num_groups"), [("file", 1), ("row", 2)])
def test_rows_of_a_file_share_a_split_unless_the_spec_says_otherwise(tmp_path, group, num_groups):
    path = tmp_path / "x.txt"
    path.write_text("one\n\ntwo\n")
    (block,) = cut_into_blocks([file_at(path, "text", per="paragraph", group=group)])
    (batch,) = read_block(block)
    assert len(set(batch["group"].to_pylist()[:-1])) == num_groups
    assert batch["turns"].to_pylist()[0] == [{"role": "text", "content": "one"}]


def test_an_empty_file_has_no_rows(tmp_path):
    (tmp_path / "x.txt").write_text("")
    assert texts_of(tmp_path / "x.txt") == []
