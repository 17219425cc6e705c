import csv
import json
from pathlib import Path
from typing import Any

import pytest

from loray.data.review import census as module
from loray.data.review.census import take_census
from loray.spec.data import DataSpec

NUM_ROWS = 4000
FIELDS = {"prompt": "q", "completion": "a"}


def row(at: int) -> dict[str, str]:
    return {"q": f"How many is {at} plus {at}?", "a": f"It is {2 * at}, as anybody knows. " * 8}


def write_lines(path: Path) -> dict[str, Any]:
    path.write_text("".join(json.dumps(row(at)) + "\n" for at in range(NUM_ROWS)))
    return {"kind": "jsonl", "uri": str(path), "fields": FIELDS}


def write_csv(path: Path) -> dict[str, Any]:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["q", "a"])
        writer.writeheader()
        writer.writerows(map(row, range(NUM_ROWS)))
    return {"kind": "csv", "uri": str(path), "fields": FIELDS}


@pytest.mark.parametrize("write", [write_lines, write_csv])
def test_of_a_large_corpus_the_number_of_rows_is_estimated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 1500)
    data = DataSpec.model_validate({"sources": (write(tmp_path / "rows"),)})
    found = take_census(data, None, None)
    assert 1500 <= found.num_rows < NUM_ROWS
    assert found.num_usable == pytest.approx(NUM_ROWS, rel=0.25)
    assert found.num_sampled == len(found.lengths) == module.NUM_SAMPLED
    assert not found.is_counted


def test_rows_that_are_equal_or_cannot_be_read_are_counted_as_such(tmp_path: Path) -> None:
    rows = [row(1), row(1), row(2), {"q": "why?", "a": ""}, {"q": "why?"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    source = {"kind": "jsonl", "uri": str(tmp_path / "rows.jsonl"), "fields": FIELDS}
    found = take_census(DataSpec.model_validate({"sources": (source,)}), None, None)
    assert (found.num_rows, found.num_distinct, found.share_read) == (5, 2, 1.0)
    assert found.unread == {"empty_completion": 1, "missing_field": 1}
    assert found.prompts.total() == 3
