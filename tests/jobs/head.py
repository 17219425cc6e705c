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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).parent / "ray"
START_SECONDS = 60


@dataclass(frozen=True)
class Head:
    """A running cluster of one node."""

    gcs_port: int
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
def started_head(*, cpus: int, memory_mib: int = 200) -> Iterator[Head]:
    """`ray start --head --block` as a child of ours, and its end by the ids of its processes."""
    folder = Path(tempfile.mkdtemp(prefix="loray-"))  # short: a socket's path holds 107 characters
    ports = free_ports(5)
    token = secrets.token_hex(32)
    words = ["start", "--head", "--block", "--disable-usage-stats", f"--num-cpus={cpus}"]
    words += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--port={ports[0]}"]
    words += [f"--dashboard-port={ports[1]}", f"--ray-client-server-port={ports[2]}"]
    words += [f"--dashboard-agent-listen-port={ports[3]}", f"--metrics-export-port={ports[4]}"]
    words += [f"--temp-dir={folder / 'ray'}", f"--object-store-memory={memory_mib << 20}"]
    environment = head_environment(folder, token)
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen([str(RAY), *words], env=environment, stdout=log, stderr=log)
        head = Head(ports[0], f"http://127.0.0.1:{ports[1]}", token, folder, environment)
        try:
            wait_until_up(head, process)
            yield head
        finally:
            end(process)
            shutil.rmtree(folder, ignore_errors=True)


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


def wait_until_up(head: Head, process: subprocess.Popen[bytes]) -> None:
    """Until the job server answers its token's holder."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        log = (head.folder / "head.log").read_text(encoding="utf-8", errors="replace")
        if process.poll() is not None:
            raise RuntimeError(f"ray start ended with {process.returncode}:\n{log}")
        try:
            if head.get("/api/jobs/", token=head.token)[0] == 200:
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.5)
    raise RuntimeError(f"the job server did not answer in {START_SECONDS} s:\n{log}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that descend from it, by their ids."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
    _, left = psutil.wait_procs(family, timeout=10)
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
