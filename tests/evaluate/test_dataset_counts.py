from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loray.evaluate.dataset_counts import count_rows


def test_rows_are_counted_over_all_files(tmp_path: Path) -> None:
    for name in ("rows", "quarantine"):
        (tmp_path / name).mkdir()
    for number, splits in enumerate((["train", "train", "test"], ["train"])):
        columns = {"suite": ["task"] * len(splits), "split": splits, "id": splits}
        pq.write_table(pa.table(columns), tmp_path / "rows" / f"part-{number}.parquet")
    rejected = pa.table({"rejected_by": ["too_long", "malformed_json", "too_long"]})
    pq.write_table(rejected, tmp_path / "quarantine" / "part-0.parquet")
    found = count_rows(tmp_path)
    assert found is not None
    assert (found.kept, found.quarantined) == (4, 3)
    assert found.by_split == [("task train", 3), ("task test", 1)]
    assert found.by_reason == [("too_long", 2), ("malformed_json", 1)]


def test_a_dataset_without_quarantine_rejected_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    columns = {"suite": ["task"], "split": ["train"]}
    pq.write_table(pa.table(columns), tmp_path / "rows" / "part-0.parquet")
    found = count_rows(tmp_path)
    assert found is not None
    assert (found.kept, found.quarantined, found.by_reason) == (1, 0, [])


def test_a_dataset_without_rows_has_no_counts(tmp_path: Path) -> None:
    assert count_rows(tmp_path) is None
