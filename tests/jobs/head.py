"""A Ray cluster that `ray start` made, as a job meets it: its own ports, folder and token."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).parent / "ray"
TRIES = 4
START_SECONDS = 120
END_SECONDS = 6  # Ray's own patience with workers is longer; nothing here is worth it


@dataclass(frozen=True)
class Head:
    """A running cluster of one node."""

    dashboard: str
    token: str
    folder: Path
    environment: dict[str, str] = field(repr=False)

    def ray(
        self, *words: str, token: str | None = None, timeout: int = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run `ray ...` from the repository root; `token=""` goes without one."""
        environment = dict(self.environment)
        if token is not None:
            environment["RAY_AUTH_TOKEN"] = token
        if token == "":
            del environment["RAY_AUTH_TOKEN"]
            environment["RAY_AUTH_MODE"] = "disabled"
        return subprocess.run(
            [str(RAY), *words],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def submit(
        self, *entrypoint: str, token: str | None = None, timeout: int = 180, job: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`ray job submit` with the runtime environment that jobs/ ships."""
        words = ["job", "submit", "--address", self.dashboard, "--working-dir", "."]
        words += ["--runtime-env", "jobs/runtime_env.yaml"]
        words += ["--submission-id", job] if job else []
        return self.ray(*words, "--", *entrypoint, token=token, timeout=timeout)

    def log(self) -> str:
        """What `ray start` printed."""
        return (self.folder / "head.log").read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, *, token: str | None) -> tuple[int, Any]:
        """Status and JSON of a request to the dashboard."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{self.dashboard}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None


@contextmanager
def started_head(*, cpus: int) -> Iterator[Head]:
    """`ray start --head --block` as a child of ours, and its end by the ids of its processes."""
    folder = Path(tempfile.mkdtemp(prefix="loray-"))  # short: a socket's path holds 107 characters
    try:
        head, process = start_patiently(folder, cpus)
        try:
            yield head
            if process.poll() is not None:
                raise RuntimeError(f"the head ended by itself:\n{head.log()}")
        finally:
            end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_patiently(folder: Path, cpus: int) -> tuple[Head, subprocess.Popen[bytes]]:
    """A head that is up; on a busy machine it may take more than one try.

    A raylet aborts when its agent is not up within 15 s, which no option of Ray's changes.
    """
    for number in range(TRIES):
        head, process = launch(folder / str(number), cpus)
        if is_up_in_time(head, process):
            return head, process
        end(process)
    raise RuntimeError(f"no head after {TRIES} tries; the last one said:\n{head.log()}")


def launch(folder: Path, cpus: int) -> tuple[Head, subprocess.Popen[bytes]]:
    """Start the processes, with everything they write under `folder`."""
    folder.mkdir()
    ports = free_ports(7)
    token = secrets.token_hex(32)
    words = ["start", "--head", "--block", "--disable-usage-stats", f"--num-cpus={cpus}"]
    words += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--port={ports[0]}"]
    words += [f"--dashboard-port={ports[1]}", f"--ray-client-server-port={ports[2]}"]
    words += [f"--dashboard-agent-listen-port={ports[3]}", f"--metrics-export-port={ports[4]}"]
    words += [f"--dashboard-agent-grpc-port={ports[5]}", f"--runtime-env-agent-port={ports[6]}"]
    words += [f"--temp-dir={folder / 'ray'}", f"--object-store-memory={200 << 20}"]
    environment = head_environment(folder, token)
    head = Head(f"http://127.0.0.1:{ports[1]}", token, folder, environment)
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen([str(RAY), *words], env=environment, stdout=log, stderr=log)
    return head, process


def head_environment(folder: Path, token: str) -> dict[str, str]:
    """What the cluster and its clients run with: none of this process's Ray or Python settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHON"))}
    return {
        **kept,
        "HOME": str(folder),
        "PATH": f"{RAY.parent}{os.pathsep}{kept['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


def is_up_in_time(head: Head, process: subprocess.Popen[bytes]) -> bool:
    """The dashboard answers its token's holder and knows a living node."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(urllib.error.URLError, OSError):
            _, answer = head.get("/nodes?view=summary", token=head.token)
            if '"ALIVE"' in json.dumps(answer):
                return True
        time.sleep(0.5)
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that descend from it, by their ids."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=1)
    for orphan in left:
        orphan.kill()
    psutil.wait_procs(left, timeout=10)


def free_ports(count: int) -> Sequence[int]:
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
