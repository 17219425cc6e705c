"""Bad files: each is refused once with its remedy, or costs the rows that are bad and no other."""

import re

import pytest

from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.data.sources.peek import look_into
from loray.errors import SourceError
from tests.data.corpora import data_spec, source
from tests.data.sources.bad_files import LINES, READ, REFUSED


def spec_of(folder, bad):
    path = folder / bad.name
    path.write_bytes(bad.data)
    return data_spec(source(path, bad.kind))


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_before_a_row_is(tmp_path, case):
    bad = REFUSED[case]
    spec = spec_of(tmp_path, bad)
    with pytest.raises(SourceError, match=bad.message) as refusal:
        for block in cut_into_blocks(find_files(spec)):
            list(read_block(block))
    assert bad.name in str(refusal.value)


@pytest.mark.parametrize("case", REFUSED)
def test_validate_refuses_what_reading_would(tmp_path, case):
    looked = look_into(spec_of(tmp_path, REFUSED[case]))
    (finding,) = looked.findings
    assert finding.at == "data.sources.0"
    assert REFUSED[case].name in finding.message


@pytest.mark.parametrize("case", READ)
def test_a_bad_row_is_rejected_with_its_reason_and_no_other_row_is(tmp_path, case):
    bad = READ[case]
    rows = [
        row
        for block in cut_into_blocks(find_files(spec_of(tmp_path, bad)))
        for table in read_block(block)
        for row in table.to_pylist()
        if row["id"] is not None
    ]
    gone = [row for row in rows if row["rejected_by"]]
    assert len(rows) - len(gone) == bad.kept
    assert tuple(row["rejected_by"] for row in gone) == bad.reasons
    for row in gone:
        assert row["note"], "what was found and what was wanted"
    if gone:
        assert re.search(bad.message, gone[0]["note"])
        assert gone[0]["line"] >= 1
        assert gone[0]["source"] == f"sources.0/{bad.name}"


@pytest.mark.parametrize("case", READ)
def test_validate_refuses_a_source_of_which_no_row_can_be_read(tmp_path, case):
    bad = READ[case]
    looked = look_into(spec_of(tmp_path, bad))
    assert bool(looked.findings) == (bad.kept == 0)
    if bad.reasons:
        (said,) = [f.message for f in looked.findings] or looked.notes[:1]
        assert bad.reasons[0] in said
        assert f"sources.0/{bad.name}:" in said


def test_there_are_enough_kinds_of_bad_files():
    assert len([*REFUSED, *(case for case, bad in READ.items() if bad.reasons)]) >= 30


def test_one_file_of_another_encoding_among_many_is_named(tmp_path):
    for number in range(20):
        (tmp_path / f"{number:02}.jsonl").write_bytes(LINES)
    (tmp_path / "13.jsonl").write_bytes(LINES.decode().encode("utf-16"))
    with pytest.raises(SourceError, match=r"sources\.0/13\.jsonl at .* UTF-16LE"):
        cut_into_blocks(find_files(data_spec(source(tmp_path))))


@pytest.mark.parametrize("size", [len(LINES) + 1, 1])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, size):
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES)
    (block,) = cut_into_blocks(find_files(data_spec(source(path))))
    tables = read_block(block)
    path.write_bytes((LINES * 2)[:size])
    with pytest.raises(SourceError, match="changed while it was read"):
        list(tables)


def test_a_file_that_is_written_over_while_it_is_read_is_refused(tmp_path, monkeypatch):
    from loray.data.sources import rows

    monkeypatch.setattr(rows, "BATCH_ROWS", 1)
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES)
    (block,) = cut_into_blocks(find_files(data_spec(source(path))))
    tables = read_block(block)
    next(tables)
    path.write_bytes(LINES.replace(b"a", b"z"))
    with pytest.raises(SourceError, match="changed while it was read"):
        list(tables)


def test_a_file_that_vanishes_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES)
    (block,) = cut_into_blocks(find_files(data_spec(source(path))))
    path.unlink()
    with pytest.raises(OSError, match="No such file") as gone:
        list(read_block(block))
    assert "sources.0/x.jsonl at" in str(block.file.unreadable(gone.value))
