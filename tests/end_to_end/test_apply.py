"""The whole flow on a random model: once, again, in part, and what the doctor says of it."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loray.cli.main import main
from loray.pipeline.apply import Outcome
from loray.registry import Registry, Version
from loray.spec.load import load_checked
from tests.end_to_end.projects import write_project

pytestmark = pytest.mark.ray


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
