import pyarrow.parquet as pq
import pytest

from loray.data.review.changes import excerpts, trace_again
from loray.data.review.preview import chain_for


def test_a_trace_says_what_each_step_made_of_a_row(made):
    spec, folder = made
    rows = [row for row in pq.read_table(folder / "rows").to_pylist() if row["changed_by"]]
    trace = trace_again(rows, spec.data, chain_for(spec))
    assert set(trace.changes) == {row["id"] for row in rows}
    found = {c.step: c for changes in trace.changes.values() for c in changes}
    assert found.keys() == {"unicode", "pii"}
    assert "jane.roe@gmail.com" in found["pii"].before
    assert "<EMAIL_" in found["pii"].after
    for row in rows:
        steps = list(dict.fromkeys(c.step for c in trace.changes[row["id"]]))
        assert steps == row["changed_by"]


def test_a_trace_names_the_step_that_rejects(made):
    spec, folder = made
    gone = pq.read_table(folder / "quarantine").to_pylist()
    trace = trace_again(gone, spec.data, chain_for(spec))
    by_reason = {row["rejected_by"]: trace.rejected_in.get(row["id"]) for row in gone}
    assert by_reason["truncated"] == "quality"
    assert by_reason["too_few_chars"] == "length"
    assert by_reason["malformed_json"] is None


def test_a_row_that_is_no_longer_in_the_source_is_not_found(made):
    spec, _ = made
    row = {"id": "0" * 16, "source": "sources.0/a.jsonl"}
    assert trace_again([row], spec.data, chain_for(spec)).changes == {}
    assert trace_again([{**row, "source": "gone"}], spec.data, chain_for(spec)).changes == {}


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("same", "same", ("same", "same")),
        ("abc", "axc", ("abc", "axc")),
        ("", "new", ("", "new")),
        ("aa", "aaa", ("aa", "aaa")),
        ("x" * 90 + "b" + "y" * 90, "x" * 90 + "y" * 90, None),
    ],
)
def test_an_excerpt_is_where_two_texts_differ(before: str, after: str, shown):
    found = excerpts(before, after)
    if shown is None:
        assert found == (
            f"...{'x' * 40}b{'y' * 40}...",
            f"...{'x' * 40}{'y' * 40}...",
        )
    else:
        assert found == shown


def test_an_excerpt_of_a_great_difference_is_short():
    assert len(excerpts("a" * 10_000, "b" * 10_000)[0]) < 300
