"""A digest is remembered while the file is untouched, and never longer."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from loray.artifacts import digests
from loray.artifacts.digests import file_digest, remembered_digest

LARGE = b"x" * (digests.WORTH_REMEMBERING + 1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLE_NANOSECONDS", 0)
    return tmp_path / "cache" / "loray" / "digests"


def test_it_is_the_sha256_of_the_bytes(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a"
    for data in (b"", b"abc", LARGE):
        path.write_bytes(data)
        assert remembered_digest(path) == file_digest(path) == hashlib.sha256(data).hexdigest()


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(LARGE)
    first = remembered_digest(path)
    (entry,) = cache.iterdir()
    known = json.loads(entry.read_text())
    known["a"][-1] = "remembered"
    entry.write_text(json.dumps(known))
    assert remembered_digest(path) == "remembered"
    path.write_bytes(b"y" + LARGE[1:])
    assert remembered_digest(path) not in (first, "remembered")


def test_a_change_whose_time_was_set_back_is_seen(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(LARGE)
    before, first = path.stat(), remembered_digest(path)
    path.write_bytes(b"y" + LARGE[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert remembered_digest(path) == file_digest(path) != first


def test_a_file_that_has_just_changed_is_not_remembered_yet(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLE_NANOSECONDS", 3600 * 10**9)
    path = tmp_path / "a"
    path.write_bytes(LARGE)
    remembered_digest(path)
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": [1, 2]}', b'{"a": 3}'])
def test_a_damaged_cache_costs_only_time(tmp_path: Path, cache: Path, damage: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(LARGE)
    right = remembered_digest(path)
    (entry,) = cache.iterdir()
    entry.write_bytes(damage)
    assert remembered_digest(path) == right


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, cache: Path) -> None:
    cache.parent.parent.write_text("a file where the cache's folder should be")
    path = tmp_path / "a"
    path.write_bytes(LARGE)
    assert remembered_digest(path) == file_digest(path)
