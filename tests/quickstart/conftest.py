"""A corpus of a small, invented library, and the real one, each built once."""

import json
from pathlib import Path

import pytest

from loray.quickstart.corpus import write_corpus


def read_rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, str]]]:
    """The rows of every file of the real corpus, by the file's stem."""
    folder = tmp_path_factory.mktemp("corpus")
    written = write_corpus(folder)
    rows = {Path(name).stem: read_rows(folder / name) for name in written}
    assert {f"{stem}.jsonl": len(found) for stem, found in rows.items()} == written
    return rows
