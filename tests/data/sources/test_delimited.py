import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.sources import delimited
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.records import FaultError
from loray.errors import SourceError
from tests.data.corpora import file_at


def records_of(path, **more):
    """Line, fields or reason of every record."""
    file = file_at(path, "csv", **more)
    return [
        (found.number, str(found.record) if isinstance(found.record, FaultError) else found.record)
        for found in delimited.read_records(file, file.source)
    ]


def written(tmp_path, text: str | bytes, name: str = "x.csv"):
    path = tmp_path / name
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def test_fields_stay_as_they_are_written(tmp_path):
    path = written(tmp_path, 'ask,reply\n007,1e3\n2020-01-01,"a ""quote"", and\nanother line"\n')
    assert records_of(path) == [
        (2, {"ask": "007", "reply": "1e3"}),
        (3, {"ask": "2020-01-01", "reply": 'a "quote", and\nanother line'}),
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_line_ends_and_compression_change_nothing(tmp_path, ending, name):
    text = ending.join(["\ufeffask,reply", "a,b", "", "c,d"])
    assert records_of(written(tmp_path, text, name)) == [
        (2, {"ask": "a", "reply": "b"}),
        (4, {"ask": "c", "reply": "d"}),
    ]


def test_a_bad_record_costs_its_first_line_only(tmp_path):
    lines = [
        "ask,reply",
        "good,1",
        '"never closed,2',
        "after,3",
        'quoted "within,4',
        '"text"behind,5',
        "too,many,fields",
        "few",
        "last,6",
    ]
    assert records_of(written(tmp_path, "\n".join(lines))) == [
        (2, {"ask": "good", "reply": "1"}),
        (3, "malformed_csv"),
        (4, {"ask": "after", "reply": "3"}),
        (5, {"ask": 'quoted "within', "reply": "4"}),
        (6, "malformed_csv"),
        (7, "wrong_number_of_fields"),
        (8, "wrong_number_of_fields"),
        (9, {"ask": "last", "reply": "6"}),
    ]


def test_a_quote_left_open_is_given_up_after_so_many_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "MAX_RECORD_LINES", 5)
    text = "ask,reply\n" + '"open,1\n' + "".join(f"q{n},a{n}\n" for n in range(20))
    first, *rest = records_of(written(tmp_path, text))
    assert first == (2, "malformed_csv")
    assert rest == [(n + 3, {"ask": f"q{n}", "reply": f"a{n}"}) for n in range(20)]


def test_invalid_utf8_and_a_torn_stream_are_records_with_reasons(tmp_path):
    path = written(tmp_path, b"ask,reply\na,\xff\nb,c\n")
    assert records_of(path) == [(2, "invalid_utf8"), (3, {"ask": "b", "reply": "c"})]
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"ask,reply\na,b\nc,d\n")[:-4])
    assert records_of(torn)[-1][1] == "torn_stream"


@given(st.lists(st.lists(st.text('ab",\n\u00e9 ', max_size=6), min_size=2, max_size=2), min_size=1))
def test_whatever_a_writer_writes_is_read(rows):
    import tempfile
    from pathlib import Path

    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        found = records_of(path, columns=["ask", "reply"])
    assert [list(record.values()) for _, record in found] == rows


def test_other_delimiters_and_files_without_a_header(tmp_path):
    path = written(tmp_path, "a;b\n")
    assert records_of(path, delimiter=";", columns=["ask", "reply"]) == [
        (1, {"ask": "a", "reply": "b"})
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("question,reply", "has no column 'ask', only"),
        ("ask,reply,reply", "more than once"),
        ('"ask,reply', "header on its first line cannot be read"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_before_anything_is_read(tmp_path, header, message):
    with pytest.raises(SourceError, match=message):
        cut_into_blocks([file_at(written(tmp_path, header + "\na,b\n"), "csv")])


def test_rows_know_their_lines(tmp_path):
    path = written(tmp_path, 'ask,reply\n"two\nlines",1\nnext,2\n')
    (block,) = cut_into_blocks([file_at(path, "csv")])
    (batch,) = read_block(block)
    assert batch["line"].to_pylist() == [2, 4, 4]  # the tally last
    assert batch["turns"].to_pylist()[0][0] == {"role": "user", "content": "two\nlines"}
