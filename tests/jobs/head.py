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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from ray.util import get_node_ip_address

REPOSITORY = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).parent / "ray"
TRIES = 4
START_SECONDS = 120
END_SECONDS = 6  # Ray's own patience with workers is longer; nothing here is worth it
STORE_BYTES = 200 << 20
Process = subprocess.Popen[Any]


@dataclass(frozen=True)
class Head:
    """A running cluster."""

    dashboard: str
    """URL of the dashboard and job server."""
    address: str
    """What other nodes join."""
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


Started = tuple[Head, Process]


@contextmanager
def started_cluster(*, cpus: int) -> Iterator[Head]:
    """A head that runs no tasks and one node that does, as cluster.yaml has them.

    Both are children of ours, and end by the ids of their processes.
    """
    with started_head() as (head, process), started_node(head, cpus) as node:
        yield head
        if process.poll() is not None or node.poll() is not None:
            raise RuntimeError(f"a node ended by itself:\n{head.log()}")


@contextmanager
def started_head(settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Started]:
    """A head that runs no tasks.

    Args:
        settings: of Ray's, for the whole cluster.
    """
    folder = Path(tempfile.mkdtemp(prefix="loray-"))  # short: a socket's path holds 107 characters
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        head, process = start_patiently(
            lambda number: launch_head(folder / str(number), settings), nodes=1
        )
        stack.callback(end, process)
        yield head, process


@contextmanager
def started_node(head: Head, cpus: int, *, name: str = "node", alive: int = 2) -> Iterator[Process]:
    """One more node of a cluster, of which so many are alive then."""
    _, node = start_patiently(lambda _: launch_node(head, cpus, name), nodes=alive)
    try:
        yield node
    finally:
        end(node)


def start_patiently(start: Callable[[int], Started], *, nodes: int) -> Started:
    """What `start` starts, once so many nodes are alive; on a busy machine it may take some tries.

    A raylet aborts when its agent is not up within 15 s, which no option of Ray's changes.
    """
    for number in range(TRIES):
        head, process = start(number)
        if is_up_in_time(head, process, nodes):
            return head, process
        end(process)
    raise RuntimeError(f"no node after {TRIES} tries; the last one said:\n{head.log()}")


def launch_head(folder: Path, settings: Mapping[str, str]) -> Started:
    """Start a head without CPUs, with everything it writes under `folder`."""
    folder.mkdir()
    gcs, dashboard, client, *agents = free_ports(7)
    token = secrets.token_hex(32)
    environment = {**head_environment(folder, token), **settings}
    address = f"{get_node_ip_address()}:{gcs}"
    head = Head(f"http://127.0.0.1:{dashboard}", address, token, folder, environment)
    words = ["--head", "--num-cpus=0", f"--port={gcs}"]
    words += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    words += [f"--ray-client-server-port={client}", f"--temp-dir={folder / 'ray'}"]
    return head, launch(head, words, agents)


def launch_node(head: Head, cpus: int, name: str) -> Started:
    """Start a node that joins `head`, as a second machine would.

    In a folder of its own: each node unpacks a job's files anew, under the feet of whoever shares
    them.
    """
    words = [f"--address={head.address}", f"--num-cpus={cpus}"]
    words += [f"--temp-dir={head.folder / name}"]
    return head, launch(head, words, free_ports(4))


def launch(head: Head, words: list[str], agents: Sequence[int]) -> Process:
    """`ray start --block`, its output at the end of the head's log."""
    listen, grpc, runtime_env, metrics = agents
    words = [str(RAY), "start", "--block", "--disable-usage-stats", *words]
    words += [f"--dashboard-agent-listen-port={listen}", f"--dashboard-agent-grpc-port={grpc}"]
    words += [f"--runtime-env-agent-port={runtime_env}", f"--metrics-export-port={metrics}"]
    words += ["--min-worker-port=0", "--max-worker-port=0"]  # two nodes share this machine's
    words += [f"--object-store-memory={STORE_BYTES}"]
    with (head.folder / "head.log").open("a") as log:
        return subprocess.Popen(words, env=head.environment, stdout=log, stderr=log)


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


def is_up_in_time(head: Head, process: Process, nodes: int) -> bool:
    """The dashboard answers its token's holder and knows so many living nodes."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(urllib.error.URLError, OSError):
            _, answer = head.get("/nodes?view=summary", token=head.token)
            if json.dumps(answer).count('"state": "ALIVE"') >= nodes:
                return True
        time.sleep(0.5)
    return False


def end(process: Process) -> None:
    """End a process and all that descend from it, by their ids."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):  # it, or a child looked at just then, has ended by itself
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=1)
    for orphan in left:
        with suppress(psutil.NoSuchProcess):
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
