"""The whole flow on a random model: once, again, and with its driver killed in the middle."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loray.artifacts.describe import file_entries
from loray.artifacts.manifest import MANIFEST_NAME
from loray.artifacts.store import Store
from loray.cli.exits import Exit
from loray.cli.main import main
from loray.pipeline.apply import Outcome
from loray.registry import Registry, Version
from loray.spec.load import load_checked
from tests.end_to_end.projects import write_project

pytestmark = pytest.mark.ray
DEADLINE_SECONDS = 300


def version_of(project: Path, number: int = 1) -> Version:
    spec = load_checked(project / "run.yaml")
    return Registry(spec.storage.registry, spec.storage.root).resolve(f"colours@{number}")


@dataclass
class Applied:
    """A project that was applied without being disturbed."""

    folder: Path
    outcome: Outcome
    why_before: list[str]
    """What the plan said of each stage."""


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path, ray_cluster: None
) -> Applied:
    from loray.pipeline.apply import apply
    from loray.pipeline.plan import make_plan

    folder = write_project(tmp_path_factory.mktemp("undisturbed"), tiny_model_dir)
    with contextlib.chdir(folder):
        spec = load_checked(folder / "run.yaml")
        why = [state.why for state in make_plan(spec).stages]
        return Applied(folder, apply(spec, report=lambda _: None), why)


def test_a_spec_becomes_a_registered_adapter_and_then_stays_fresh(
    undisturbed: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loray.pipeline.apply import apply
    from loray.pipeline.plan import make_plan

    monkeypatch.chdir(undisturbed.folder)
    outcome, project = undisturbed.outcome, undisturbed.folder
    assert undisturbed.why_before == ["never made"] * 3
    assert outcome.passed
    assert list(outcome.seconds) == ["dataset", "training", "evaluation"]
    assert (outcome.scorecard.parent / "report.html").stat().st_size > 1000

    spec = load_checked(project / "run.yaml")
    version = version_of(project)
    assert version.state == "promotable"
    assert version.lineage.dataset == make_plan(spec).stages[0].stage.fingerprint
    registry = Registry(spec.storage.registry, spec.storage.root)
    assert registry.resolve("colours@champion").number == 1

    # Again: nothing runs, nothing is registered twice, and the alias stays where a person put it.
    registry.move_alias("colours", "champion", None, expected_generation=1)
    again = apply(spec, report=lambda _: None)
    assert registry.alias("colours", "champion").version is None
    assert registry.promote(version).version == 1
    assert again.seconds == {}
    assert [v.number for v in registry.versions("colours")] == [1]

    # A changed evaluation leaves dataset and training alone, and says what changed.
    stricter = load_checked(project / "run.yaml", ["evaluate.max_rows=6"])
    states = make_plan(stricter).stages
    assert [state.is_fresh for state in states] == [True, True, False]
    assert "evaluate.max_rows: 12 -> 6" in states[2].why


def test_apply_stops_after_the_stage_that_it_is_told(
    undisturbed: Applied, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(undisturbed.folder)
    words = ("apply", "run.yaml", "--until", "dataset", "--json", "--set", "seed=77")
    made = told(capsys, *words)
    assert list(made["artifacts"]) == list(made["seconds"]) == ["dataset"]
    assert (made["passed"], made["version"], made["scorecard"]) == (True, None, None)
    storage = load_checked(undisturbed.folder / "run.yaml").storage
    registry = Registry(storage.registry, storage.root)
    assert len(registry.versions("colours")) == 1
    assert main(("apply", "run.yaml", "--until", "training")) == 0
    said = capsys.readouterr().out
    assert "stopped after training, as asked; nothing is registered" in said
    assert "next: loray doctor run run.yaml; then loray apply run.yaml for the rest" in said
    assert "evaluation" not in said


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    capsys.readouterr()
    assert main(words) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_doctor_tells_of_a_run_and_finds_a_learning_rate(
    undisturbed: Applied, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(undisturbed.folder)
    diagnoses = told(capsys, "doctor", "run", "run.yaml", "--json")["diagnoses"]
    assert [found["kind"] for found in diagnoses] == ["outgrown"]  # the base is random and small
    words = ("doctor", "lr", "run.yaml", "--json", "--lowest", "1e-4", "--steps", "40")
    found = told(capsys, *words)
    assert found["rates"][0] == 1e-4
    assert len(found["rates"]) == len(found["losses"]) <= 40
    assert 1e-3 < found["suggested"] < 1e-1  # the spec's own, which learns, is 1e-2
    assert min(found["losses"]) < found["losses"][0]
    assert list((undisturbed.folder / "workspace" / ".work").glob("rates-*")) == []


def start_apply(project: Path, log_name: str = "apply.log") -> subprocess.Popen[bytes]:
    """`loray apply`, a process of its own with a Ray of its own, in a session of its own."""
    with (project / log_name).open("ab") as log:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("loray")), "apply", "run.yaml"],
            cwd=project,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def test_a_killed_driver_changes_no_bit_of_the_adapter(
    undisturbed: Applied,
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Against the undisturbed run of the same spec in another folder."""
    project = write_project(tmp_path, tiny_model_dir)
    driver = start_apply(project)
    attempts = project / "workspace" / ".work" / "trainings"
    mark = "*/attempts/attempt-0001/step-000008/COMMIT.json"
    wait_for(lambda: list(attempts.glob(mark)), driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert not list((project / "workspace").glob("trainings/*/manifest.json"))
    monkeypatch.chdir(project)
    assert told(capsys, "doctor", "run", "run.yaml", "--json")["diagnoses"] == []

    second = start_apply(project)  # whose lease is free at once: the dead one ran on this host
    assert second.wait(DEADLINE_SECONDS) == 0, (project / "apply.log").read_text()
    assert "resuming from step" in (project / "apply.log").read_text()

    assert digest_of(project) == digest_of(undisturbed.folder)


def digest_of(project: Path) -> str:
    """Of the adapter that was registered."""
    with contextlib.chdir(project):
        return version_of(project).adapter_digest


def test_of_two_drivers_at_once_one_trains_and_the_other_is_refused(
    undisturbed: Applied, tiny_model_dir: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path, tiny_model_dir)
    drivers = {name: start_apply(project, name) for name in ("one.log", "other.log")}
    codes = {name: driver.wait(DEADLINE_SECONDS) for name, driver in drivers.items()}
    logs = {name: (project / name).read_text() for name in drivers}
    assert sorted(codes.values()) == [0, Exit.LEASE_HELD], logs
    winner, refused = sorted(codes, key=lambda name: codes[name])
    assert f"is held by process {drivers[winner].pid} on" in logs[refused]
    assert "wait until it ends, or stop it" in logs[refused]
    assert digest_of(project) == digest_of(undisturbed.folder)
    with contextlib.chdir(project):
        from loray.pipeline.plan import make_plan

        spec = load_checked(project / "run.yaml")
        store = Store(spec.storage.root)
        for state in make_plan(spec).stages:
            manifest, folder = store.read_manifest(state.stage), store.fetch(state.stage)
            assert manifest is not None
            found = [entry for entry in file_entries(folder) if entry.path != MANIFEST_NAME]
            assert found == list(manifest.files)
    assert not list((project / "workspace" / ".work").glob("*s/*"))


def wait_for(condition: object, process: subprocess.Popen[bytes]) -> None:
    begin = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, "the process ended before it could be killed"
        assert time.monotonic() - begin < DEADLINE_SECONDS
        time.sleep(0.02)
