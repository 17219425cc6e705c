import json

import pyarrow.parquet as pq
import pytest

from loray.data.review.quarantine import Wanted, count_rejects, export_rejects, find_rejects
from loray.errors import ArtifactError


def test_rows_are_counted_by_reason_and_source(made):
    _, folder = made
    counts = count_rejects(folder, Wanted())
    assert counts == {
        (reason, "sources.0"): 1
        for reason in (
            "malformed_json", "exact_duplicate", "truncated", "too_few_chars", "too_long",
        )
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "reasons"),
    [
        (Wanted(reason="truncated"), {"truncated"}),
        (Wanted(contains="PYTHON"), {"truncated"}),
        (Wanted(contains="no json"), {"malformed_json"}),
        (Wanted(contains="kept in its stead"), {"exact_duplicate"}),
        (Wanted(reason="truncated", contains="no json"), set()),
        (Wanted(source="sources.1/*"), set()),
        (Wanted(source="*/a.jsonl", reason="too_long"), {"too_long"}),
    ],
)
def test_rows_are_found_by_reason_source_and_text(made, wanted: Wanted, reasons: set[str]):
    _, folder = made
    assert {row["rejected_by"] for row in find_rejects(folder, wanted)} == reasons
    assert {reason for reason, _ in count_rejects(folder, wanted)} == reasons


def test_rows_are_found_by_id(made):
    _, folder = made
    ids = pq.read_table(folder / "quarantine")["id"].to_pylist()
    found = find_rejects(folder, Wanted(ids=frozenset(ids[1:3])))
    assert [row["id"] for row in found] == ids[1:3]


def test_an_export_holds_turns_or_the_line_as_it_came(made, tmp_path):
    _, folder = made
    file = tmp_path / "out.jsonl"
    assert export_rejects(folder, Wanted(), file) == 5
    rows = {row["reason"]: row for row in map(json.loads, file.read_text().splitlines())}
    assert set(rows["malformed_json"]) == {"id", "source", "line", "reason", "note", "raw"}
    assert rows["malformed_json"]["raw"] == "no json"
    assert rows["truncated"]["turns"][0] == {"role": "user", "content": "show me"}
    assert rows["truncated"]["line"] == 64
    assert rows["exact_duplicate"]["note"].endswith("is kept in its stead")


def test_a_failed_export_leaves_nothing_and_keeps_what_was_there(made, tmp_path, monkeypatch):
    _, folder = made
    file = tmp_path / "out.jsonl"
    file.write_text("before")

    def fail(row):
        raise RuntimeError

    monkeypatch.setattr("loray.data.review.quarantine.document_of", fail)
    with pytest.raises(RuntimeError):
        export_rejects(folder, Wanted(), file)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert file.read_text() == "before"
    with pytest.raises(ArtifactError, match="found no folder"):
        export_rejects(folder, Wanted(), tmp_path / "gone" / "out.jsonl")


def test_a_quarantine_that_is_being_written_is_told_as_that(tmp_path):
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "part-00000.parquet").write_bytes(b"PAR1 and no end")
    with pytest.raises(ArtifactError, match="it is being written, or damaged"):
        count_rejects(tmp_path, Wanted())
    with pytest.raises(ArtifactError, match="holds no Parquet file"):
        count_rejects(tmp_path / "other", Wanted())
