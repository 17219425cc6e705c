"""The whole flow on a random model: once, again, and with its driver killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loray.registry import Registry, Version
from loray.spec.load import load_checked

pytestmark = pytest.mark.ray
DEADLINE_SECONDS = 300


def version_of(project: Path, number: int = 1) -> Version:
    spec = load_checked(project / "run.yaml")
    return Registry(spec.storage.registry, spec.storage.root).resolve(f"colours@{number}")


@pytest.mark.usefixtures("ray_cluster")
def test_a_spec_becomes_a_registered_adapter_and_then_stays_fresh(project: Path) -> None:
    from loray.pipeline.apply import apply
    from loray.pipeline.plan import make_plan

    spec = load_checked(project / "run.yaml")
    assert [state.why for state in make_plan(spec).stages] == ["never made"] * 3
    lines: list[str] = []
    outcome = apply(spec, report=lines.append)
    assert outcome.passed
    assert list(outcome.seconds) == ["dataset", "training", "evaluation"]
    assert (outcome.scorecard.parent / "report.html").stat().st_size > 1000

    version = version_of(project)
    assert version.state == "promotable"
    assert version.lineage.dataset == make_plan(spec).stages[0].stage.fingerprint
    registry = Registry(spec.storage.registry, spec.storage.root)
    assert registry.resolve("colours@champion").number == 1

    # Again: nothing runs, nothing is registered twice, and a rollback by hand would stay.
    again = apply(spec, report=lines.append)
    assert again.seconds == {}
    assert [v.number for v in registry.versions("colours")] == [1]

    # A changed evaluation leaves dataset and training alone, and says what changed.
    stricter = load_checked(project / "run.yaml", ["evaluate.max_rows=6"])
    states = make_plan(stricter).stages
    assert [state.is_fresh for state in states] == [True, True, False]
    assert "evaluate.max_rows: 12 -> 6" in states[2].why


def start_apply(project: Path) -> subprocess.Popen[bytes]:
    """`loray apply`, a process of its own with a Ray of its own, in a session of its own."""
    with (project / "apply.log").open("ab") as log:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("loray")), "apply", "run.yaml"],
            cwd=project,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def test_a_killed_driver_changes_no_bit_of_the_adapter(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Against an uninterrupted run of the same spec in another folder."""
    import shutil

    whole = tmp_path_factory.mktemp("whole")
    for name in ("rows.jsonl", "run.yaml"):
        shutil.copy(project / name, whole / name)

    driver = start_apply(project)
    attempts = project / "workspace" / ".work" / "trainings"
    mark = "*/attempts/attempt-0001/step-000008/COMMIT.json"
    wait_for(lambda: list(attempts.glob(mark)), driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert not list((project / "workspace").glob("trainings/*/manifest.json"))

    for folder in (project, whole):
        second = start_apply(folder)
        assert second.wait(DEADLINE_SECONDS) == 0, (folder / "apply.log").read_text()
    assert "resuming from step" in (project / "apply.log").read_text()

    digests = []
    for folder in (project, whole):
        os.chdir(folder)
        digests.append(version_of(folder).adapter_digest)
    assert digests[0] == digests[1]


def wait_for(condition: object, process: subprocess.Popen[bytes]) -> None:
    begin = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, "the process ended before it could be killed"
        assert time.monotonic() - begin < DEADLINE_SECONDS
        time.sleep(0.02)
