import os
import pickle
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from loray.errors import LeaseError, NameRefusedError
from loray.registry import Registry, RunLedger
from loray.registry.database import Database
from loray.registry.process import (
    ProcessIdentity,
    _state_and_start,
    is_surely_dead,
    this_process,
)
from tests.registry import versions
from tests.registry.versions import drain, register, start


def disown(url: str, **values: object) -> None:
    """Write into every lease as if its holder were another."""
    pairs = ", ".join(f"{name} = '{value}'" for name, value in values.items())
    Database(url).write(lambda c: c.exec_driver_sql(f"UPDATE lease SET {pairs}"))


@pytest.mark.slow
def test_row_28_of_eight_drivers_of_one_run_one_proceeds(url: str) -> None:
    running = [start(versions.hold_lease, n, url) for n in range(8)]
    told = [receiver.recv() for _, receiver in running]  # the holder holds on until all have told
    for process, _ in running:
        process.kill()
        process.join(10)
    assert sorted(kind for kind, _ in told) == ["held", *["refused"] * 7]
    for what in (what for kind, what in told if kind == "refused"):
        assert "run is held by process" in what
        assert "last heard of" in what


def test_row_28_a_second_holder_is_told_who_and_since_when(local_url: str) -> None:
    ledger = RunLedger(local_url)
    with ledger.acquire("run") as lease:
        with pytest.raises(LeaseError) as caught:
            ledger.acquire("run")
        held = ledger.holder("run")
        assert held is not None
        assert (held.process.pid, held.attempt) == (os.getpid(), lease.attempt)
        assert f"process {os.getpid()} on {held.process.host_name} since 2" in str(caught.value)
        ledger.acquire("another").release()
    assert ledger.holder("run") is None
    assert ledger.acquire("run").attempt == 2


@pytest.mark.slow
def test_a_lease_is_refused_without_being_taken_while_somebody_holds_it(local_url: str) -> None:
    ledger = RunLedger(local_url)
    ledger.refuse_held("run")
    with ledger.acquire("run"), pytest.raises(LeaseError, match="run is held by process"):
        ledger.refuse_held("run")
    ledger.refuse_held("run")
    with ledger.acquire("run") as lease:
        assert lease.attempt == 2


def test_a_killed_holder_on_this_host_is_taken_over_at_once(local_url: str) -> None:
    ledger = RunLedger(local_url)
    process, receiver = start(versions.hold_lease, 0, local_url)
    assert receiver.recv() == ("held", 1)
    with pytest.raises(LeaseError):
        ledger.acquire("run", ttl_seconds=60)
    process.kill()
    deadline = time.monotonic() + 30
    while ledger.holder("run") and time.monotonic() < deadline:  # a zombie already counts as dead
        time.sleep(0.01)
    with ledger.acquire("run", ttl_seconds=60) as lease:
        assert lease.attempt == 2
    process.join(10)
    assert drain(receiver) == []


def test_a_later_process_of_the_same_pid_is_not_mistaken_for_the_holder(local_url: str) -> None:
    ledger = RunLedger(local_url)
    first = ledger.acquire("run", ttl_seconds=60)
    disown(local_url, process_started="1")
    assert ledger.acquire("run", ttl_seconds=60).attempt == 2
    with pytest.raises(LeaseError, match="attempt 1 of run has lost its lease"):
        first.check()


def test_another_hosts_holder_is_waited_for_until_its_lease_runs_out(local_url: str) -> None:
    ledger = RunLedger(local_url)
    ledger.acquire("run", ttl_seconds=60)
    disown(local_url, host="elsewhere|boot|ns", pid=999_999)
    with pytest.raises(LeaseError, match="process 999999 on elsewhere since"):
        ledger.acquire("run")
    disown(local_url, expires=time.time() - 1)
    assert ledger.acquire("run").attempt == 2


def test_a_holder_that_is_alive_keeps_its_lease(url: str) -> None:
    ledger = RunLedger(url)
    with ledger.acquire("run", ttl_seconds=0.9) as lease:
        time.sleep(1.5)
        lease.check()
        assert not lease.is_lost
        with pytest.raises(LeaseError):
            ledger.acquire("run")


def test_a_holder_that_slept_finds_out_and_can_publish_nothing(url: str, tmp_path: Path) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    first = RunLedger(url).acquire("run", ttl_seconds=60)
    register(registry, seed=0, lease=first)
    disown(url, host="elsewhere|boot|ns", expires=0)
    second = RunLedger(url).acquire("run", ttl_seconds=60)
    with pytest.raises(LeaseError, match="attempt 2 is held by"):
        register(registry, seed=1, lease=first)
    assert len(registry.versions("bot")) == 1
    register(registry, seed=1, lease=second)
    first.release()  # too late to hurt the second
    second.check()
    second.release()
    with pytest.raises(LeaseError, match="attempt 2 is released"):
        second.check()


def test_the_renewing_thread_notices_that_the_lease_is_gone(local_url: str) -> None:
    lease = RunLedger(local_url).acquire("run", ttl_seconds=0.3)
    disown(local_url, holder="x", attempt=2)
    deadline = time.monotonic() + 30
    while not lease.is_lost and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(LeaseError, match="has lost its lease"):
        lease.check()


def test_a_lease_that_nobody_took_is_renewed_after_a_stall(local_url: str) -> None:
    with RunLedger(local_url).acquire("run", ttl_seconds=0.6) as lease:
        disown(local_url, expires=0)
        lease.check()
        time.sleep(0.5)
        assert RunLedger(local_url).holder("run") is not None


def test_a_lease_is_let_go_when_its_work_fails(local_url: str) -> None:
    ledger = RunLedger(local_url)
    with pytest.raises(ZeroDivisionError), ledger.acquire("run"):
        _ = 1 / 0
    assert ledger.holder("run") is None


@pytest.mark.parametrize("key", ["", "a b", "a\n", "x" * 201])
def test_a_key_of_another_form_is_refused(local_url: str, key: str) -> None:
    with pytest.raises(NameRefusedError):
        RunLedger(local_url).acquire(key)


def test_a_ledger_can_be_pickled(local_url: str) -> None:
    ledger = RunLedger(local_url)
    pickle.loads(pickle.dumps(ledger)).acquire("run").release()
    assert ledger.acquire("run").attempt == 2


@pytest.mark.parametrize(
    ("change", "is_dead"),
    [
        ({}, False),
        ({"pid": 2**22 + 1}, True),
        ({"started": "1"}, True),
        ({"started": ""}, False),
        ({"pid": 2**22 + 1, "host": "elsewhere|x|y"}, False),
        ({"pid": 1, "started": ""}, False),
    ],
)
def test_only_what_is_known_to_be_dead_counts_as_dead(
    change: dict[str, Any], is_dead: bool
) -> None:
    here = this_process()
    values = {"host": here.host, "pid": here.pid, "started": here.started} | change
    assert is_surely_dead(ProcessIdentity(**values)) is is_dead


def test_a_killed_process_that_nobody_waited_for_counts_as_dead() -> None:
    """A supervisor in a container may never reap what it started."""
    child = subprocess.Popen(["sleep", "600"])
    _, started = _state_and_start(child.pid)
    identity = ProcessIdentity(this_process().host, child.pid, started)
    assert not is_surely_dead(identity)
    child.kill()
    deadline = time.monotonic() + 10
    while not is_surely_dead(identity) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_surely_dead(identity)
    os.kill(child.pid, 0)  # it is still listed
    child.wait()
