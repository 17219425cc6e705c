"""Real signals to real commands, in every stage: a line, an exit code, and nothing lost.

One project is stopped in curation, in training and in evaluation, and must end as one that was
left alone. Each command starts a Ray of its own, as a user's does. A sweep that is stopped is in
`test_sweep.py`.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from loray.registry import RunLedger
from tests.conftest import REPOSITORY
from tests.end_to_end.projects import write_project

pytestmark = pytest.mark.ray
DEADLINE_SECONDS = 300
INTERRUPTED = "interrupted; apply again to continue where it stopped"
QUICK = (
    "resources.workers=1", "train.strategy={kind: plain}", "evaluate.max_rows=8",
    "train.steps=12", "train.checkpoint_every=4",
)  # fmt: skip
SETTINGS = tuple(word for each in QUICK for word in ("--set", each))
APPLY = ("apply", "run.yaml", *SETTINGS)
ASKED, IN_FLIGHT = 60, 20
"""Requests, and how many of them a server has at least when it is told to stop."""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    lines: list[str]
    seconds: float
    """From the signal on."""


class Command:
    """`loray` in a process of its own; its output is read as it comes."""

    def __init__(self, folder: Path, *words: str) -> None:
        script = "import sys; from loray.cli.main import main; sys.exit(main())"
        path = os.pathsep.join([str(REPOSITORY / "platform"), str(REPOSITORY)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        environment.pop("RAY_ADDRESS", None)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *words],
            cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.rstrip() for line in self._process.stdout if line.strip())

    def wait_for(self, found: Callable[[str], bool]) -> str:
        """The first line that is looked for."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if found(line):
                    return line
            assert self._process.poll() is None, self.lines
            time.sleep(0.02)
        raise AssertionError(self.lines)

    def signal(self, number: int) -> Ended:
        """Send a signal, and wait for the end."""
        began = time.monotonic()
        self._process.send_signal(number)
        return self.end(began)

    def end(self, began: float | None = None) -> Ended:
        code = self._process.wait(timeout=DEADLINE_SECONDS)
        self._reader.join(timeout=10)
        return Ended(code, self.lines, time.monotonic() - (began or time.monotonic()))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def loray() -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(folder: Path, *words: str) -> Command:
        started.append(Command(folder, *words))
        return started[-1]

    yield start
    for command in started:
        command.kill()


def says(text: str) -> Callable[[str], bool]:
    return lambda line: text in line


def check_stopped(ended: Ended, number: int, message: str = INTERRUPTED) -> None:
    assert ended.code == 128 + number, ended.lines
    assert ended.lines.count(message) == 1, ended.lines
    assert not any(
        mark in line for line in ended.lines for mark in ("Traceback", "***", " @ ", "Error")
    ), ended.lines


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


@pytest.fixture(scope="module")
def applied(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project that is left alone and one that is not, both not begun yet."""
    return {
        name: write_project(tmp_path_factory.mktemp(name), tiny_model_dir)
        for name in ("alone", "stopped")
    }


def test_a_run_that_is_stopped_in_every_stage_ends_like_one_that_is_not(
    applied: dict[str, Path], loray: Callable[..., Command]
) -> None:
    folder = applied["stopped"]
    database = f"sqlite:///{folder}/workspace/registry.db"
    for found, number, stage in (
        ("dataset: making it", signal.SIGTERM, "datasets"),
        ("training: step ", signal.SIGINT, "trainings"),
        ("training: resuming from step ", signal.SIGTERM, "trainings"),
        ("evaluation: scoring", signal.SIGINT, "evaluations"),
    ):
        command = loray(folder, *APPLY)
        command.wait_for(says(found))
        if stage == "trainings":
            wait_for_a_checkpoint(folder)
        check_stopped(command.signal(number), number)
        held = [p.name for p in (folder / "workspace" / ".work" / stage).glob("*")]
        assert [RunLedger(database).holder(f"{stage}/{name}") for name in held] == [None]
    assert loray(folder, *APPLY).end().code == 0
    assert loray(applied["alone"], *APPLY).end().code == 0
    made = digests(folder)
    assert len(made) >= 6
    assert made == digests(applied["alone"])


def wait_for_a_checkpoint(folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if any((folder / "workspace" / ".work").rglob("COMMIT.json")):
            return
        time.sleep(0.02)
    raise AssertionError("no checkpoint came")


@pytest.fixture
def slow_model(tmp_path: Path) -> Path:
    """A base that takes about half a second for an answer of 450 tokens."""
    from loray.quickstart.initialise import write_random_model

    folder = tmp_path / "slow"
    write_random_model(
        folder,
        vocab_size=300,
        hidden_size=128,
        layers=4,
        heads=4,
        kv_heads=2,
        intermediate=384,
        max_positions=512,
        seed=0,
    )
    return folder


def test_a_server_that_is_stopped_answers_who_it_serves(
    applied: dict[str, Path], slow_model: Path, loray: Callable[..., Command]
) -> None:
    folder = applied["alone"]
    serve = (
        f"base_model.path={slow_model}", "serve.max_context=512", "serve.max_new_tokens=450",
        "serve.max_batch=1", "serve.drain_seconds=240", "serve.request_timeout_seconds=240",
    )  # fmt: skip
    words = [word for each in serve for word in ("--set", each)]
    command = loray(folder, "serve", "run.yaml", "--port", "0", *SETTINGS, *words)
    line = command.wait_for(says("serving on http"))
    address = line.partition("serving on ")[2].partition(": ")[0]
    model = httpx.get(f"{address}/models", timeout=60).json()["data"][0]["id"]
    turns = [{"role": "user", "content": "Say."}]  # greedily, the base talks to the limit
    asked = {"model": model, "messages": turns, "max_tokens": 450, "temperature": 0.0}

    def ask(number: int) -> str:
        body = {**asked, "stream": bool(number % 2)}
        return client.post(f"{address}/chat/completions", json=body, timeout=300).text

    with httpx.Client() as client, ThreadPoolExecutor(ASKED) as pool:
        answers = [pool.submit(ask, number) for number in range(ASKED)]
        while client.get(f"{address}/stats", timeout=60).json()["num_running"] < 1:
            time.sleep(0.01)
        time.sleep(1.0)  # the others wait in the ingress by now, which nobody tells
        ended = command.signal(signal.SIGTERM)
    check_stopped(ended, signal.SIGTERM, "interrupted; no more requests are taken")
    (told,) = [line for line in ended.lines if "in flight" in line]
    count = int(told.partition(" ")[0])
    assert told == f"{count} request(s) were in flight: {count} finished, 0 cut off"
    assert IN_FLIGHT <= count <= ASKED, "one at a time: most of them still wait"
    for number, answer in enumerate(answers):
        if number % 2:
            assert answer.result().endswith("data: [DONE]\n\n")
        else:
            assert json.loads(answer.result())["usage"]["completion_tokens"] == 450


def test_a_port_that_is_taken_is_refused_before_anything_starts(
    applied: dict[str, Path], loray: Callable[..., Command]
) -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        ended = loray(applied["alone"], "serve", "run.yaml", "--port", str(port), *SETTINGS).end()
    assert ended.code == 2
    (line,) = ended.lines
    assert line.startswith(f"--port {port} of 127.0.0.1 is taken by process {os.getpid()} (")
