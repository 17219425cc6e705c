"""Many processes on one registry: what each was told must fit one order of events."""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loray.registry import Registry
from tests.registry import versions
from tests.registry.versions import all_at_once, drain, register, start

NUM_PROCESSES = 8


@pytest.mark.slow
def test_eight_processes_get_contiguous_numbers_and_each_move_one_winner(
    url: str, tmp_path: Path
) -> None:
    root = str(tmp_path / "root")
    registry = Registry(url, root)
    rounds = 4
    told = all_at_once(NUM_PROCESSES, versions.publish_and_move, url, root, rounds)
    events: list[tuple[Any, ...]] = [event for events in told for event in events]
    numbers = {number: digest for kind, number, digest in events if kind == "version"}
    total = NUM_PROCESSES * rounds
    assert sorted(numbers) == list(range(1, total + 1))
    assert {v.number: v.adapter_digest for v in registry.versions("bot")} == numbers
    winners = Counter(seen for kind, seen, _ in events if kind == "won")
    assert winners == dict.fromkeys(range(total), 1)  # each generation was left exactly once
    assert registry.alias("bot", "latest").generation == total
    assert registry.fsck() == ()


@pytest.mark.slow
def test_of_eight_rivals_from_one_generation_one_wins(url: str, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    registry = Registry(url, root)
    register(registry)
    register(registry, seed=1)
    for generation in range(3):
        told = all_at_once(NUM_PROCESSES, versions.move_once, url, root, generation)
        assert Counter(word for words in told for word in words) == {"won": 1, "lost": 7}
    assert registry.alias("bot", "latest").generation == 3


@pytest.mark.slow
def test_one_key_from_eight_processes_makes_one_version(url: str, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    told = all_at_once(NUM_PROCESSES, versions.register_with_one_key, url, root)
    assert told == [[1]] * NUM_PROCESSES
    registry = Registry(url, root)
    assert len(registry.versions("bot")) == 1
    assert registry.fsck() == ()


@pytest.mark.slow
def test_kill_minus_nine_at_any_moment_leaves_whole_versions(url: str, tmp_path: Path) -> None:
    """24 kills of two writers; what was acknowledged is there, what is there is whole."""
    root = str(tmp_path / "root")
    registry = Registry(url, root)
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    acknowledged: dict[int, str] = {}
    for kill in range(12):
        writers = [start(versions.publish_for_ever, 2 * kill + n, url, root) for n in range(2)]
        for _, receiver in writers:
            receiver.poll(30)  # each has acknowledged one: the machine may be slow
        time.sleep(moments.uniform(0.0, 0.15))
        for process, receiver in writers:
            process.kill()
            process.join(10)
            acknowledged |= dict(drain(receiver))
    found = {version.number: version.digest for version in registry.versions("bot")}
    assert len(acknowledged) >= 24
    assert found.items() >= acknowledged.items(), seed
    assert sorted(found) == list(range(1, len(found) + 1)), seed
    assert registry.fsck() == (), seed
    registry.gc(dry_run=False, grace_seconds=0)
    assert registry.fsck() == (), seed


@pytest.mark.slow
def test_sweeps_without_any_grace_between_publishers_break_nothing(
    url: str, tmp_path: Path
) -> None:
    root = str(tmp_path / "root")
    registry = Registry(url, root)
    writers = [start(versions.publish_for_ever, n, url, root) for n in range(2)]
    deadline = time.monotonic() + 60
    num_swept = num_published = 0
    while time.monotonic() < deadline and (num_swept < 5 or num_published < 5):
        num_swept += len(registry.gc(dry_run=False, grace_seconds=0).blobs)
        # A writer whose pipe is full stands still.
        num_published += sum(len(list(drain(receiver))) for _, receiver in writers)
        time.sleep(random.uniform(0.0, 0.1))
    for process, _ in writers:
        assert process.is_alive()
        process.kill()
        process.join(10)
    assert num_swept >= 5  # the sweeps did get in between
    assert len(registry.versions("bot")) >= 5
    assert registry.fsck() == ()


@pytest.mark.slow
def test_postgresql_stopped_in_the_middle_loses_and_doubles_nothing(
    postgresql: Any, tmp_path: Path
) -> None:
    """`pg_ctl stop -m immediate` under writers, who try again by themselves."""
    postgresql.psql("CREATE SCHEMA restarts;")
    url = f"{postgresql.get_uri()}&options=-csearch_path%3Drestarts"
    root = str(tmp_path / "root")
    registry = Registry(url, root)
    writers = [start(versions.publish_for_ever, n, url, root) for n in range(2)]
    for _ in range(2):
        time.sleep(0.7)
        versions.restart_postgresql(postgresql)
    time.sleep(0.7)
    acknowledged: dict[int, str] = {}
    for process, receiver in writers:
        assert process.is_alive()
        process.kill()
        process.join(10)
        acknowledged |= dict(drain(receiver))
    found = {version.number: version.digest for version in registry.versions("bot")}
    assert len(acknowledged) > 2
    assert found.items() >= acknowledged.items()
    assert len(found) <= len(acknowledged) + 2
    assert sorted(found) == list(range(1, len(found) + 1))
    assert registry.fsck() == ()


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_move_whose_answer_was_lost_is_made_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The connection breaks around the commit; the second try finds what the first one did."""
    register(registry)
    engine = registry._database.database._writer
    break_once(engine, monkeypatch, lost)
    moved = registry.move_alias("bot", "latest", 1, expected_generation=0)
    assert moved.generation == 1
    break_once(engine, monkeypatch, lost)
    assert register(registry, seed=1).number == 2
    assert registry.fsck() == ()
    assert len(registry.events("bot")) == 3


def break_once(engine: Any, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    import sqlite3

    commit = type(engine.dialect).do_commit
    broken = []

    def do_commit(dialect: Any, connection: Any) -> None:
        if broken:
            return commit(dialect, connection)
        broken.append(1)
        if lost == "after":
            commit(dialect, connection)
        raise sqlite3.OperationalError("database is locked, or so it seems")

    monkeypatch.setattr(type(engine.dialect), "do_commit", do_commit)
