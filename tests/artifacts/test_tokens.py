import json
import os
import tempfile
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, copy_files

from loray.artifacts.filesystem import open_filesystem
from loray.artifacts.tokens import COPIES_KEPT, TokenParts
from loray.errors import DatasetError
from tests.train.sequences import make_rows, write_tokens


def upload(folder: str, uri: str) -> str:
    fs, base = open_filesystem(uri)
    copy_files(folder, base, source_filesystem=LocalFileSystem(), destination_filesystem=fs)
    return uri


def ids(tokens: TokenParts, number: int) -> list[int]:
    return tokens.sequence(number)["input_ids"].tolist()


def test_sequences_are_numbered_through_all_parts(tmp_path: Path) -> None:
    rows = make_rows(23)
    tokens = TokenParts(write_tokens(tmp_path, rows, per_part=7))
    assert tokens.sizes == (7, 7, 7, 2)
    assert [ids(tokens, n) for n in range(23)] == [row["input_ids"] for row in rows]


def test_remote_parts_are_read_like_local_ones_and_few_copies_are_kept(
    tmp_path: Path, bucket: str
) -> None:
    rows = make_rows(60)
    local = write_tokens(tmp_path, rows, per_part=10)
    tokens = TokenParts(upload(local, f"{bucket}/tokens"))
    tokens.expect(0)
    for number, row in enumerate(rows):
        tokens.expect(min(number + 10, 59))
        assert ids(tokens, number) == row["input_ids"]
        copies = list(tokens._copies.folder.iterdir())
        assert len(copies) <= COPIES_KEPT + 1  # the one that is on its way
    assert ids(tokens, 3) == rows[3]["input_ids"]  # a dropped one comes back
    folder = tokens._copies.folder
    swept = Path(tempfile.gettempdir()) / f"loray-{os.getuid()}"
    assert folder.parent == swept, "see test_scratch: what a killed reader leaves there is deleted"
    tokens.close()
    assert not folder.exists()


def test_a_remote_part_that_was_changed_is_refused(tmp_path: Path, bucket: str) -> None:
    folder = write_tokens(tmp_path, make_rows(20), per_part=10)
    Path(folder, "part-00001.arrow").write_bytes(Path(folder, "part-00000.arrow").read_bytes())
    tokens = TokenParts(upload(folder, f"{bucket}/tokens"))
    assert len(ids(tokens, 4)) > 1
    with pytest.raises(DatasetError, match=r"part-00001.arrow is not what its index says"):
        tokens.sequence(14)


@pytest.mark.parametrize("text", [None, "{", json.dumps({"parts": [{"file": "a"}]})])
def test_a_folder_without_a_sound_index_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "index.json").write_text(text)
    with pytest.raises(DatasetError, match=r"index.json is missing or damaged.*apply again"):
        TokenParts(str(tmp_path))
