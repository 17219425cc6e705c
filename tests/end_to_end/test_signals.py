"""Real signals to real commands, in every stage: a line, an exit code, and nothing lost.

One project is stopped in curation, in training and in evaluation, its driver is killed, and a
second driver wants to have it, too; it must end as one that was left alone. The first and the last
command start a Ray of their own, as a user's do; the others join the cluster of these tests. A
sweep that is stopped is in `test_sweep.py`, a server in `test_stopped_server.py`.
"""

import contextlib
import hashlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loray.artifacts.describe import file_entries
from loray.artifacts.manifest import MANIFEST_NAME
from loray.artifacts.store import Store
from loray.cli.exits import Exit
from loray.registry import RunLedger
from loray.spec.load import load_checked
from tests.end_to_end.commands import (
    DEADLINE_SECONDS,
    QUICK,
    SETTINGS,
    Command,
    check_stopped,
    says,
)
from tests.end_to_end.projects import write_project

pytestmark = pytest.mark.ray
APPLY = ("apply", "run.yaml", *SETTINGS)


def digests(folder: Path) -> dict[str, str]:
    """What must be the same however often a run was stopped: rows, tokens, weights, scores."""
    kinds = ("datasets", "trainings", "evaluations")
    files = [p for kind in kinds for p in (folder / "workspace" / kind).rglob("*") if p.is_file()]
    same = ("adapter_model.safetensors", "scorecard.json")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name in same or "tokens" in path.parts or "eval" in path.parts
    }


def test_a_run_that_is_stopped_in_every_stage_ends_like_one_that_is_not(
    left_alone: Path, tiny_model_dir: Path, tmp_path: Path, loray: Callable[..., Command]
) -> None:
    import ray

    folder = write_project(tmp_path, tiny_model_dir)
    shared = ray.get_runtime_context().gcs_address

    command = loray(folder, *APPLY)
    command.wait_for(says("dataset: making it"))
    check_stopped(command.signal(signal.SIGTERM), signal.SIGTERM)
    check_free(folder, "datasets")

    command = loray(folder, *APPLY, address=shared)
    command.wait_for(says("training: step "))
    wait_for_checkpoints(folder, 1)
    other = loray(folder, *APPLY, address=shared).end()
    assert other.code == Exit.LEASE_HELD
    assert f"is held by process {command.pid} on" in other.lines[-1]
    assert "wait until it ends, or stop it" in other.lines[-1]
    check_stopped(command.signal(signal.SIGINT), signal.SIGINT)
    check_free(folder, "trainings")

    command = loray(folder, *APPLY, address=shared)
    command.wait_for(says("training: resuming from step "))
    wait_for_checkpoints(folder, 2)
    command.kill()  # its lease is free at once: it ran on this host
    looked = loray(folder, "doctor", "run", "run.yaml", *SETTINGS, "--json").end()
    assert json.loads("".join(looked.lines))["diagnoses"] == []

    command = loray(folder, *APPLY, address=shared)
    command.wait_for(says("evaluation: scoring"))
    check_stopped(command.signal(signal.SIGTERM), signal.SIGTERM)
    assert any("training: resuming from step " in line for line in command.lines)
    check_free(folder, "evaluations")

    assert loray(folder, *APPLY).end().code == 0
    made = digests(folder)
    assert len(made) >= 6
    assert made == digests(left_alone)
    check_whole(folder)


def check_free(folder: Path, kind: str) -> None:
    """Nobody holds what a stopped command was making."""
    ledger = RunLedger(f"sqlite:///{folder}/workspace/registry.db")
    held = [path.name for path in (folder / "workspace" / ".work" / kind).glob("*")]
    assert [ledger.holder(f"{kind}/{name}") for name in held] == [None]


def check_whole(folder: Path) -> None:
    """Every artifact holds the files of its manifest, and no work is left."""
    from loray.pipeline.plan import make_plan

    with contextlib.chdir(folder):
        spec = load_checked(folder / "run.yaml", QUICK)
        store = Store(spec.storage.root)
        for state in make_plan(spec).stages:
            manifest, fetched = store.read_manifest(state.stage), store.fetch(state.stage)
            assert manifest is not None
            found = [entry for entry in file_entries(fetched) if entry.path != MANIFEST_NAME]
            assert found == list(manifest.files)
    assert not list((folder / "workspace" / ".work").glob("*s/*"))


def wait_for_checkpoints(folder: Path, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if len([*(folder / "workspace" / ".work").rglob("COMMIT.json")]) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{count} checkpoints did not come")
