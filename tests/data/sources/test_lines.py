import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.sources import lines
from loray.data.sources.lines import Line, read_lines, split_runs
from loray.data.sources.streams import CHUNK_BYTES, TornError, gunzip
from tests.data.corpora import file_at


def split_lines(chunks):
    return [line for run in split_runs(chunks, 0) for line in run.lines()]


def in_chunks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.lists(st.sampled_from([b"", b"a", b"bc", b"\n", b"\r\n", b"longer line"])), st.data())
def test_the_parts_of_a_file_hold_each_line_once(pieces, data):
    import tempfile
    from pathlib import Path

    text = b"".join(pieces)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(text) - 1, 1)), max_size=4)))
    edges = [0, *[c for c in cuts if c < len(text)], len(text)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        path.write_bytes(text)
        whole = list(read_lines(file_at(path), 0, len(text)))
        parts = [
            line for start, end in pairwise(edges) for line in read_lines(file_at(path), start, end)
        ]
    assert parts == whole
    assert [line.data for line in whole] == text.split(b"\n")[: len(whole)]
    assert all(text[line.offset :].startswith(line.data) for line in whole)


@given(st.binary(max_size=60), st.integers(1, 7))
def test_lines_do_not_depend_on_how_the_bytes_arrive(text, size):
    assert split_lines(in_chunks(text, size)) == split_lines([text])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3), st.integers(1, 9))
def test_several_gzip_members_are_one_text(members, size):
    stored = b"".join(gzip.compress(member) for member in members)
    assert b"".join(gunzip(in_chunks(stored, size))) == b"".join(members)


def test_padding_after_a_gzip_member_is_no_damage():
    assert b"".join(gunzip([gzip.compress(b"text", mtime=0) + b"\0" * 100])) == b"text"


@pytest.mark.parametrize("missing", [1, 8, 20])
def test_a_torn_stream_file_gives_its_whole_lines_and_marks_the_tear(tmp_path, missing):
    text = b"".join(b"line %d of many\n" % n for n in range(5000))
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(text)[:-missing])
    *whole, torn = read_lines(file_at(path), 0, path.stat().st_size)
    assert torn.fault == "torn_stream"
    assert all(line.fault is None for line in whole)
    assert (
        b"".join(line.data + b"\n" for line in whole) + torn.data == text[: torn.offset] + torn.data
    )


@pytest.mark.parametrize("data", [b"", b"no gzip", gzip.compress(b"x", mtime=0)[:5]])
def test_what_is_no_gzip_is_torn(data):
    with pytest.raises(TornError):
        list(gunzip([data] if data else []))


def test_a_wrong_checksum_is_a_tear():
    stored = bytearray(gzip.compress(b"some text\n" * 10))
    stored[-6] ^= 1
    assert split_lines(gunzip([bytes(stored)]))[-1].fault == "torn_stream"


def test_a_compressed_bomb_is_opened_a_piece_at_a_time():
    pieces = gunzip([zlib.compress(bytes(20 << 20), wbits=31)])
    assert max(map(len, pieces)) <= CHUNK_BYTES


def test_a_line_beyond_the_limit_is_marked_and_the_next_one_read(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    chunks = in_chunks(b"short\n" + b"x" * 50 + b"\nafter\n", 8)
    first, long, after = split_lines(chunks)
    assert first == Line(0, b"short", None)
    assert (long.offset, long.fault) == (6, "line_too_long")
    assert len(long.data) <= 10
    assert after == Line(57, b"after", None)
