"""A damaged corpus on a Ray cluster: every fault is found under its name, and nothing else is."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loray.data import curate_to
from tests.data.damage import cases_of, write_corpus

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


@pytest.fixture(scope="module")
def curated(tokenizer_dir, tmp_path_factory):
    """What was planted in 3,000 rows, the statistics, the kept and the quarantined rows."""
    folder = tmp_path_factory.mktemp("damage")
    planted = write_corpus(folder / "corpus", 3000)
    out = folder / "out"
    out.mkdir()
    statistics = curate_to(out, planted.spec(tokenizer_dir))
    rows = [pq.read_table(out / name).to_pylist() for name in ("rows", "quarantine")]
    return planted, statistics, *rows


def label_of(row: dict) -> str:
    return ".".join(row["source"].split("/")[0].split(".")[:2])


def test_every_row_is_kept_or_quarantined(curated):
    _, statistics, kept, gone = curated
    for label, counts in statistics["sources"].items():
        assert counts["in"] == counts["kept"] + counts["quarantined"]
        assert counts["kept"] == sum(label_of(row) == label for row in kept)
        assert counts["quarantined"] == sum(label_of(row) == label for row in gone)
    assert statistics["rows"]["in"] == len(kept) + len(gone) == 3000


def test_every_fault_is_found_under_its_name_as_often_as_it_was_planted(curated):
    planted, statistics, _, _ = curated
    found = {label: counts["rejected_by"] for label, counts in statistics["sources"].items()}
    assert found == {label: dict(reasons) for label, reasons in planted.reasons.items()}
    assert len(statistics["rows"]["rejected_by"]) > 30


def test_no_sound_row_is_lost_or_kept_twice(curated):
    planted, _, kept, _ = curated
    for label, cases in planted.cases.items():
        found = cases_of(row for row in kept if label_of(row) == label)
        assert set(found) == cases
        assert set(found.values()) <= {1}


def test_every_value_is_replaced_and_counted_by_its_kind(curated):
    planted, statistics, kept, _ = curated
    assert statistics["found"] == planted.found
    assert len(planted.found) == 30
    written = json.dumps([row["turns"] for row in kept])
    values = [json.dumps(value)[1:-1] for value in planted.values]
    assert [value for value in values if value in written] == []


def test_a_corpus_is_the_same_for_a_seed_and_another_for_another(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_corpus(tmp_path / name, 100, seed, has_giants=False)
    files = ("pairs/b/c.jsonl", "chats.jsonl", "table.csv", "texts/a.md")
    written = {n: [(tmp_path / n / file).read_bytes() for file in files] for n in "abc"}
    assert written["a"] == written["b"] != written["c"]


def test_what_a_long_line_leaves_in_the_quarantine_is_short(curated):
    _, _, _, gone = curated
    assert max(len(row["raw"] or "") for row in gone) == 1 << 16
    assert all(Path(row["source"]).name for row in gone)
