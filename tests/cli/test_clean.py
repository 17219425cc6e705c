import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loray.artifacts.describe import describe
from loray.artifacts.manifest import Stage
from loray.artifacts.store import Store

OLD = "a" * 12


@pytest.fixture
def old_dataset(workplace: Path) -> Path:
    """Two datasets of one name under the default root; the folder of the older."""
    store = Store("workspace")
    for mark, days in ((OLD, 90), ("b" * 12, 40)):
        stage = Stage(kind="dataset", name="bot", fingerprint=mark)
        work = store.work_folder(stage)
        (work / "rows.txt").write_text("x" * 1000)
        manifest = describe(work, stage, stage_version=1, recipe={}, inputs={}, statistics={})
        created = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        store.commit(manifest.model_copy(update={"created": created}), work)
    return workplace / "workspace" / "datasets" / f"bot-{OLD}"


def test_without_delete_it_only_says_what_would_go(loray, old_dataset: Path):
    said = loray("clean")
    assert said.code == 0
    assert f"datasets/bot-{OLD}" in said.out
    assert "1 folder may go" in said.out
    assert "the newest of its name" in said.out
    assert old_dataset.is_dir()


def test_without_a_terminal_only_yes_deletes(loray, old_dataset: Path):
    said = loray("clean", "--delete")
    assert said.code == 2
    assert "add --yes" in said.err
    assert old_dataset.is_dir()
    said = loray("clean", "--yes")
    assert said.code == 0
    assert "deleted 1 folder" in said.out
    assert not old_dataset.exists()


def test_it_is_a_document_too(loray, old_dataset: Path):
    document = loray("clean", "--json").document
    assert [item["folder"] for item in document["would_go"]] == [f"datasets/bot-{OLD}"]
    assert document["gone"] == []
    assert json.dumps(document["kept"]).count("newest") == 1


@pytest.mark.parametrize("size", ["5XB", "-1GB", "many", "1e400", "nan"])
def test_sizes_are_numbers_of_bytes(loray, workplace: Path, size: str):
    said = loray("clean", f"--larger-than={size}")
    assert said.code == 2
    assert "wanted a size such as 500MB" in said.err


def test_larger_than_is_in_bytes(loray, old_dataset: Path):
    assert "1 folder may go" in loray("clean", "--larger-than", "1KB").out
    assert "0 folders may go" in loray("clean", "--larger-than", "10kb").out
