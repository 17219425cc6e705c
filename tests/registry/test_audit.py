import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loray.errors import AdapterError
from loray.registry import Registry
from loray.registry.blobs import BlobEntry, LocalBlobs
from loray.registry.database import Database
from tests.registry.versions import promotable, register


def blob_names(registry: Registry) -> set[str]:
    return {p.name for p in (Path(registry.root) / "registry" / "sha256").iterdir()}


def orphan(registry: Registry, data: bytes = b"nobody's") -> str:
    from loray.registry.blobs import put_bytes

    return put_bytes(LocalBlobs(Path(registry.root)), data)


def test_a_sweep_takes_what_no_version_needs_and_only_when_asked(registry: Registry) -> None:
    register(registry)
    kept = blob_names(registry)
    lost = orphan(registry)
    partial = Path(registry.root) / "registry" / "partial" / "left"
    partial.mkdir(parents=True)
    (partial.parent / "under-way").mkdir()
    past = time.time() - 4000
    os.utime(partial, (past, past))
    dry = registry.gc(grace_seconds=0)
    assert (dry.dry_run, dry.blobs, dry.partial, dry.num_bytes) == (True, (lost,), ("left",), 8)
    assert blob_names(registry) == kept | {lost}
    assert registry.gc(dry_run=False).blobs == ()  # younger than a day
    assert registry.gc(dry_run=False, grace_seconds=0).blobs == (lost,)
    assert blob_names(registry) == kept
    assert [p.name for p in partial.parent.iterdir()] == ["under-way"]
    assert registry.fsck() == ()


def test_the_grace_is_an_age(registry: Registry) -> None:
    register(registry)
    kept = blob_names(registry)
    old, young = orphan(registry, b"old"), orphan(registry, b"young")
    folder = Path(registry.root) / "registry" / "sha256"
    past = time.time() - 7200
    os.utime(folder / old, (past, past))
    assert registry.gc(dry_run=False, grace_seconds=3600).blobs == (old,)
    assert blob_names(registry) == kept | {young}


def test_a_sweep_between_put_and_commit_cannot_break_a_version(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    sweeps = []

    from loray.registry import exchange

    take_in = exchange.take_in

    def take_in_then_sweep(*arguments: object) -> object:
        new = take_in(*arguments)  # type: ignore[arg-type]
        if len(sweeps) < 2:
            sweeps.append(registry.gc(dry_run=False, grace_seconds=0))
        return new

    monkeypatch.setattr("loray.registry.exchange.take_in", take_in_then_sweep)
    version = register(registry)
    assert [len(s.blobs) for s in sweeps] == [3, 3]
    assert version.number == 1
    assert registry.fsck() == ()


def test_a_version_committed_while_the_sweep_lists_blobs_is_spared(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry, seed=1)
    lost = orphan(registry)
    listing = LocalBlobs.entries

    def register_then_list(blobs: LocalBlobs) -> Iterator[BlobEntry]:
        register(registry)
        return listing(blobs)

    monkeypatch.setattr(LocalBlobs, "entries", register_then_list)
    assert registry.gc(dry_run=False, grace_seconds=0).blobs == (lost,)
    assert registry.fsck() == ()


def test_a_sweep_refuses_when_a_manifest_is_damaged(registry: Registry) -> None:
    version = register(registry)
    lost = orphan(registry)
    (Path(registry.root) / "registry" / "sha256" / version.digest).unlink()
    with pytest.raises(AdapterError, match="missing"):
        registry.gc(dry_run=False, grace_seconds=0)
    assert lost in blob_names(registry)


def test_fsck_finds_what_sql_by_hand_can_break(local_url: str, registry: Registry) -> None:
    registry.promote(promotable(registry))
    assert registry.fsck() == ()
    database = Database(local_url)
    database.write(lambda c: c.exec_driver_sql("UPDATE alias SET generation = 7"))
    assert [f.subject for f in registry.fsck()] == ["bot@champion"]
    database.write(lambda c: c.exec_driver_sql("UPDATE alias SET generation = 1, version = NULL"))
    assert "the last event says 1" in registry.fsck()[0].what
    database.write(lambda c: c.exec_driver_sql("UPDATE adapter SET last_version = 2"))
    assert {f.subject for f in registry.fsck()} == {"bot", "bot@champion"}


def test_fsck_compares_rows_with_manifests(local_url: str, registry: Registry) -> None:
    register(registry)
    database = Database(local_url)
    database.write(lambda c: c.exec_driver_sql("DROP TRIGGER version_is_immutable_1"))
    database.write(lambda c: c.exec_driver_sql("UPDATE version SET dataset = 'forged'"))
    found = [f.what for f in registry.fsck()]
    assert found[0] == "the database's row and the manifest differ"
    assert len(found) == 2
    assert found[1].startswith("the record 000000000001-")
    assert found[1].endswith("and the database differ")
