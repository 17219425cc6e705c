"""A sweep on a random model: stopped, gone on with, and nothing made twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from loray.cli.main import main
from loray.registry import Registry
from loray.spec.load import load_checked
from tests.end_to_end.projects import write_project

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("here")]
DEADLINE_SECONDS = 300
QUICK = (
    "evaluate.metrics=[perplexity]", "evaluate.max_rows=8", "train.steps=16",
    "train.checkpoint_every=16", "resources.workers=1", "train.strategy={kind: plain}",
    "train.guard={max_restarts: 0}",
)  # fmt: skip
SETTINGS = [word for each in QUICK for word in ("--set", each)]
SWEEP = ("sweep", "run.yaml", "--set-list", "method.rank=4,2", *SETTINGS)
NO_STEP = "1e-300"
"""A learning rate so small that no float32 weight moves, which fails a training."""


def made(project: Path) -> dict[str, float]:
    """Every committed artifact and when its manifest was written."""
    found = (project / "workspace").glob("*/*/manifest.json")
    return {str(path.parent.relative_to(project)): path.stat().st_mtime for path in found}


@pytest.fixture(scope="module")
def project(
    tiny_model_dir: Path, ray_cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_project(tmp_path_factory.mktemp("swept"), tiny_model_dir)


def test_a_stopped_sweep_goes_on_and_nothing_is_made_twice_or_registered(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after_the_first_trial(project)
    before = made(project)
    assert sorted(name.split("/")[1] for name in before) == ["datasets", "evaluations", "trainings"]

    monkeypatch.chdir(project)
    code, document = told(capsys, *SWEEP, "--json")
    after = made(project)
    assert code == 0
    assert before.items() <= after.items()
    assert sorted(name.split("/")[1] for name in after.keys() - before.keys()) == [
        "evaluations",
        "trainings",
    ]

    rank_4, rank_2 = document["trials"]
    assert (rank_4["overrides"], rank_2["overrides"]) == (["method.rank=4"], ["method.rank=2"])
    assert rank_4["learned_parameters"] == 2 * rank_2["learned_parameters"]
    for trial in (rank_4, rank_2):
        assert trial["value"] == score_of(project, trial["overrides"])
        assert trial["train_seconds"] > 0
    best = min((rank_4, rank_2), key=lambda trial: trial["value"])
    assert document["advice"][0].startswith(f"best: {best['overrides'][0]} (perplexity")

    # Again: nothing runs. Nothing was registered until a trial is applied, which makes nothing.
    assert told(capsys, *SWEEP, "--json") == (0, document)
    assert made(project) == after
    registry = Registry("sqlite:///workspace/registry.db", "workspace")
    assert registry.versions("colours") == ()
    _, applied = told(
        capsys, "apply", "run.yaml", *SETTINGS, "--set", best["overrides"][0], "--json"
    )
    assert applied["seconds"] == {}
    assert len(registry.versions("colours")) == 1


def test_a_trial_that_fails_is_told_and_the_others_are_compared(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that works has the settings of the sweep before, and so its artifacts."""
    monkeypatch.chdir(project)
    before = made(project)
    rates = f"train.optimizer.learning_rate={NO_STEP},0.01"
    code, document = told(capsys, "sweep", "run.yaml", "--set-list", rates, *SETTINGS, "--json")
    failed, worked = document["trials"]
    assert code == 1
    assert failed["value"] is None
    assert failed["failure"]
    assert worked["value"] == score_of(project, ["method.rank=4"])
    assert before.items() <= made(project).items()
    assert document["advice"][0] == f"1 of 2 trials failed: {failed['overrides'][0]}"
    assert document["advice"][1].startswith("best: train.optimizer.learning_rate=0.01 (perplexity")


def stop_after_the_first_trial(project: Path) -> None:
    """Start a sweep as a process, which joins the tests' cluster; interrupt its second trial."""
    import ray

    address = ray.get_runtime_context().gcs_address
    with (project / "sweep.log").open("ab") as log:
        sweep = subprocess.Popen(
            [str(Path(sys.executable).with_name("loray")), *SWEEP],
            cwd=project,
            env={**os.environ, "RAY_ADDRESS": address},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    begin = time.monotonic()
    while not list((project / "workspace").glob("evaluations/*/manifest.json")):
        assert sweep.poll() is None, (project / "sweep.log").read_text()
        assert time.monotonic() - begin < DEADLINE_SECONDS
        time.sleep(0.02)
    os.kill(sweep.pid, signal.SIGINT)
    assert sweep.wait(DEADLINE_SECONDS) == 128 + signal.SIGINT
    said = (project / "sweep.log").read_text(encoding="utf-8")
    assert said.count("interrupted; apply again to continue where it stopped\n") == 1, said
    assert "Traceback" not in said


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code of a command, and the JSON that it prints."""
    capsys.readouterr()
    code = main(words)
    return code, json.loads(capsys.readouterr().out)


def score_of(project: Path, overrides: list[str]) -> float:
    """What the trial's own scorecard says of its best checkpoint on the validation rows."""
    from loray.pipeline.plan import make_plan

    spec = load_checked(project / "run.yaml", [*QUICK, *overrides])
    folder = project / "workspace" / make_plan(spec).stages[-1].stage.folder
    card = json.loads((folder / "scorecard.json").read_text())
    (best,) = [c for c in card["checkpoints"] if c["step"] == card["best_step"]]
    value: float = best["validation"]["metrics"]["perplexity"]
    return value
