"""What a training on Ray tells the outside: a real scrape, a tracker, and trackers that fail."""

import hashlib
import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loray.artifacts.diagnosis import Diagnosis, from_lines
from loray.spec.run import RunSpec
from loray.spec.tracking import TrackingSpec
from tests.train.event_files import curve
from tests.train.sequences import make_rows, make_spec, write_tokens

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
HERE = "tests.train.trackers"
STEPS = 6
FAULTS = {
    "Dies": "the trackers' process ended: ",
    "Hangs": "the trackers had been told step 0 and were not done 2 s after the training",
}
"""What is said of each tracker."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_tokens(folder, make_rows(40))
    return folder


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec_of(model: Path, **changes: object) -> RunSpec:
    settings = {"train__steps": STEPS, "train__strategy": {"kind": "plain"}}
    return make_spec(model, **{**settings, **changes})


def train(spec: RunSpec, dataset: Path, out: Path, lines: list[str] | None = None) -> str:
    """Train into `out`; returns the digest of the adapter."""
    from loray.train.run import train_to

    out.mkdir()
    report = (lines if lines is not None else []).append
    train_to(out, spec, f"{dataset}/tokens", attempt=1, report=report)
    weights = out / "checkpoints" / f"step-{spec.train.steps:06d}" / "adapter_model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def of_trackers(out: Path) -> list[Diagnosis]:
    found = from_lines((out / "diagnoses.jsonl").read_text())
    return [one for one in found if one.kind == "tracker"]


def history(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


@pytest.fixture
def untracked(model: Path, dataset: Path, tmp_path: Path, here: None) -> str:
    return train(spec_of(model), dataset, tmp_path / "untracked")


def test_a_tracker_that_fails_is_told_once_and_the_others_hear_every_step(
    untracked: str, model: Path, dataset: Path, workplace: Path
) -> None:
    lines: list[str] = []
    out = workplace / "bot-0123"
    spec = spec_of(model, tracking={"tensorboard": "runs", "own": f"{HERE}:FailsLate"})
    assert train(spec, dataset, out, lines) == untracked, "no bit is another"
    losses = {line["step"]: line["loss"] for line in history(out)}
    notes = (workplace / "notes" / "bot-0123.txt").read_text().splitlines()
    assert notes == [f"start small 0/{STEPS} seed=3", f"1 {losses[1]}", f"2 {losses[2]}"]
    assert curve(workplace / "runs" / "bot-0123", "train/loss") == pytest.approx(losses)
    (found,) = of_trackers(out)
    assert found.step == 3
    assert "raised ConnectionError in log: no route to the tracking server" in found.seen
    assert sum("switched off" in line for line in lines) == 1, "while the run goes on"


@pytest.mark.parametrize("name", FAULTS)
def test_trackers_that_never_come_back_cost_the_training_nothing(
    untracked: str,
    model: Path,
    dataset: Path,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    from loray.train import export

    monkeypatch.setattr(export, "FINISH_SECONDS", 1.5)
    monkeypatch.setattr(export, "LEAST_SECONDS", 1.0)
    lines: list[str] = []
    out = workplace / "out"
    spec = spec_of(model, tracking={"own": f"{HERE}:{name}"})
    assert train(spec, dataset, out, lines) == untracked
    assert len(history(out)) == STEPS
    (found,) = of_trackers(out)
    assert FAULTS[name] in found.seen
    assert sum("switched off" in line for line in lines) == 1
    waiting = [line for line in lines if "waiting for the trackers, which were told step 0" in line]
    assert len(waiting) == (name == "Hangs")


@contextmanager
def telling(
    spec: RunSpec, name: str, workplace: Path, lines: list[str]
) -> Iterator[Callable[[int], None]]:
    """A run without workers, whose end waits for the tracker; what tells it a step."""
    import ray

    from loray.train.export import tracked
    from loray.train.progress import start_progress
    from loray.train.task import WorkerTask

    progress = start_progress()
    spec = spec.model_copy(update={"tracking": TrackingSpec(own=f"{HERE}:{name}")})
    task = WorkerTask(spec, "", "", attempt=1, working_folder=str(workplace), progress=progress)
    with tracked(task, run_id="r", steps_done=0, report=lines.append) as told:

        def tell(step: int) -> None:
            ray.get(progress.note.remote(step, 1.0, 1.0))
            told.trackers.log.remote(step, {"loss": 1.0})

        yield tell


def test_trackers_that_were_silent_before_the_end_are_not_waited_for_in_full(
    model: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loray.train import export

    monkeypatch.setattr(export, "FINISH_SECONDS", 7.0)
    monkeypatch.setattr(export, "LEAST_SECONDS", 2.0)
    lines: list[str] = []
    with telling(spec_of(model), "Hangs", workplace, lines) as tell:
        tell(1)
        time.sleep(7)
        ended = time.monotonic()
    assert 2 < time.monotonic() - ended < 6
    (said,) = lines
    assert "waiting for the trackers, which were told step 0 of 1: at most 7 s, and 2 s" in said


def test_trackers_that_answer_slowly_hear_every_step(
    model: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loray.train import export

    monkeypatch.setattr(export, "LEAST_SECONDS", 2.0)
    lines: list[str] = []
    with telling(spec_of(model), "Slow", workplace, lines) as tell:
        for step in range(1, 6):
            tell(step)
    assert (workplace / "notes" / "r.txt").read_text().split()[-3:] == ["4", "5", "finish"]
    assert len(lines) == 1


def test_rays_metrics_endpoint_serves_the_run_while_it_trains(
    model: Path, dataset: Path, workplace: Path, repository: Path
) -> None:
    import ray

    page = (repository / "docs" / "concepts" / "training.md").read_text()
    documented = set(re.findall(r"`(ray_loray_train_[a-z_]+)", page))
    assert len(documented) == 7
    (node,) = ray.nodes()
    address = f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
    spec = spec_of(model, name="scraped", train__steps=500, train__checkpoint_every=500)
    training = threading.Thread(target=train, args=(spec, dataset, workplace / "out"))
    training.start()
    found: dict[str, float] = {}
    while training.is_alive() and not documented <= found.keys():
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        found = {
            name: float(value)
            for name, tags, value in re.findall(r"(?m)^(\w+)\{(.*)\} (\S+)$", text)
            if 'run="scraped"' in tags
        }
        time.sleep(0.5)
    assert training.is_alive(), "seen before the end"
    training.join()
    assert documented <= found.keys()
    by_step = {line["step"]: line for line in history(workplace / "out")}
    line = by_step[found["ray_loray_train_step"]]
    assert found["ray_loray_train_loss"] == pytest.approx(line["loss"])
    assert found["ray_loray_train_peak_memory_bytes"] == line["peak_memory_bytes"]
