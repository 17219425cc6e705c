"""A run that goes on with the workers there are: nodes die and join while it trains."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil
import pytest

from loray.spec.run import RunSpec
from tests.conftest import WORKER_ENVIRONMENT
from tests.jobs.head import (
    END_SECONDS,
    REPOSITORY,
    Head,
    Process,
    end,
    started_head,
    started_node,
)
from tests.train.sequences import make_rows, make_spec, pack, write_tokens

pytestmark = pytest.mark.ray
STEPS = 120
TOLERANCE = 1e-5
"""Largest relative difference of a step's loss, whatever number of workers took it."""
DEADLINE_SECONDS = 300
SOON = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3"}
"""Ray's settings, by which a node that does not answer is dead after seconds, not half a minute."""


class Driver:
    """`tests.train.drive` on a cluster, and the lines that it printed."""

    def __init__(self, head: Head, spec: RunSpec, dataset: Path, out: Path) -> None:
        out.mkdir()
        file = out.with_suffix(".json")
        file.write_text(spec.model_dump_json(), encoding="utf-8")
        self.out = out
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.train.drive", str(file), str(dataset), str(out)],
            cwd=REPOSITORY,
            env={**head.environment, **WORKER_ENVIRONMENT, "RAY_ADDRESS": head.address},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for(lambda: "joined" in self.lines)

    def go(self) -> None:
        """Begin to train."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        begin = time.monotonic()
        while not condition():
            assert self.process.poll() is None, self.lines
            assert time.monotonic() - begin < DEADLINE_SECONDS, self.lines
            time.sleep(0.02)

    def has_told(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def last_start(self) -> int:
        """The step from which the present workers went on."""
        (line, *_) = (line for line in reversed(self.lines) if " workers, from step " in line)
        return int(line.rpartition(" ")[2])

    def has_committed(self, step: int) -> bool:
        return (self.out / f"attempts/attempt-0001/step-{step:06d}/COMMIT.json").exists()

    def finish(self) -> list[dict[str, float]]:
        """Wait for its end; the history that it left."""
        assert self.process.wait(DEADLINE_SECONDS) == 0, self.lines
        text = (self.out / "history.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines += (line.rstrip("\n") for line in self.process.stdout)


@contextmanager
def driving(head: Head, spec: RunSpec, dataset: Path, out: Path) -> Iterator[Driver]:
    driver = Driver(head, spec, dataset, out)
    try:
        yield driver
    finally:
        end(driver.process)


def kill_machine(node: Process) -> None:
    """What a power cut does: everything of a node at the same moment, its workers too."""
    process = psutil.Process(node.pid)
    everything = [process, *process.children(recursive=True)]
    for one in everything:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    node.wait(END_SECONDS)


def workers_of(node: Process) -> list[psutil.Process]:
    """The processes that train on a node."""
    family = psutil.Process(node.pid).children(recursive=True)
    found = [one for one in family if "RayTrainWorker" in " ".join(one.cmdline())]
    assert found
    return found


@contextmanager
def slowed(processes: list[psutil.Process]) -> Iterator[None]:
    """Let processes run for a tenth of the time, so that a run does not end too soon."""
    done = threading.Event()

    def hold() -> None:
        while not done.is_set():
            with suppress(psutil.NoSuchProcess):
                for process in processes:
                    process.suspend()
            done.wait(0.45)
            with suppress(psutil.NoSuchProcess):
                for process in processes:
                    process.resume()
            done.wait(0.05)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def losses_of(history: list[dict[str, float]]) -> list[float]:
    return [line["loss"] for line in history]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_tokens(folder, pack(make_rows(640), per_sequence=16))
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Head, Process]]:
    """A head without CPUs and a node of one, which stay; drivers join before there are others."""
    with started_head(SOON) as (head, _), started_node(head, 1) as kept:
        yield head, kept


def spec_of(model: Path, **changes: Any) -> RunSpec:
    return make_spec(
        model,
        base_model__quantization="none",
        train__batch={"global_size": 8, "micro_size": 2},
        train__optimizer={"learning_rate": 1e-3},
        train__checkpoint_every=10,
        train__vitals_every=STEPS,
        **changes,
    )


def test_a_run_goes_on_with_fewer_workers_and_takes_more_when_they_come(
    cluster: tuple[Head, Process], dataset: Path, model: Path, tmp_path: Path, here: None
) -> None:
    resources = {"workers": 2, "min_workers": 1, "resize_seconds": 2}
    spec = spec_of(model, resources=resources, train__steps=STEPS)
    head, kept = cluster
    with ExitStack() as stack:
        driver = stack.enter_context(driving(head, spec, dataset, tmp_path / "shaken"))
        lost = stack.enter_context(started_node(head, 1, name="second", alive=3))
        driver.go()
        driver.wait_for(lambda: driver.has_committed(10))
        kill_machine(lost)
        driver.wait_for(lambda: driver.has_told("1 of 2 workers, from step"))
        driver.wait_for(lambda: driver.has_committed(driver.last_start() + 10))
        with slowed(workers_of(kept)):
            stack.enter_context(started_node(head, 1, name="third", alive=3))
            driver.wait_for(lambda: driver.has_told("2 of 2 workers, from step"))
        found = driver.finish()
    assert [line["step"] for line in found] == list(range(1, STEPS + 1))
    counts = [int(count) for count, _ in groupby(found, lambda line: line["workers"])]
    assert counts == [2, 1, 2]

    from loray.train.run import train_to

    steady = tmp_path / "steady"
    train_to(steady, spec_of(model, train__steps=STEPS), f"{dataset}/tokens", attempt=1)
    lines = (steady / "history.jsonl").read_text(encoding="utf-8").splitlines()
    undisturbed = [json.loads(line) for line in lines]
    assert losses_of(found) == pytest.approx(losses_of(undisturbed), rel=TOLERANCE)
