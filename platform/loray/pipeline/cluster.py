"""Join the Ray cluster there is, or start one on this machine."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import ray

from loray.artifacts.scratch import ScratchFolder
from loray.errors import ClusterError
from loray.machines.ray_logs import ray_level
from loray.machines.signals import kept_signals
from loray.pages.visible import one_line
from loray.spec.run import ResourceSpec

QUIET_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # torch's thread count is set from the spec instead
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
PATIENCE = {
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_niceness": "0",  # at Ray's 15, two busy processes leave workers 3% of a core
}
"""How Ray's own processes get by on a busy machine: they wait longer, and get their share."""
START_TRIES = 3
REST_SECONDS = 2.0
"""Between two tries to start Ray."""
REACH_SECONDS = 5.0
"""How long the address of a cluster may take to answer, each of three times."""
START_OR_UNSET = "start the cluster, correct RAY_ADDRESS, or unset it to run on this machine"
MAX_SOCKET_PATH = 107
SOCKET_PATH = "/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""The longest path that Ray appends to its folder."""
NOTICE_LOGGER = "ray._private.authentication.authentication_token_setup"
"""Where Ray says of a cluster of its own that only holders of its token get in."""
log = logging.getLogger(__name__)


@contextmanager
def cluster(
    resources: ResourceSpec,
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
    report: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Be connected to Ray while the body runs.

    A driver that is connected already stays so. `RAY_ADDRESS` names a cluster to join. Otherwise a
    local one is started with at least the CPUs that the spec asks for (Ray's CPUs are a count, so
    more workers than cores run slower, not never), and stopped at the end; its workers inherit
    this process's environment, credentials included, which Ray's own records then never hold. Its
    session folder is deleted at the end, or, after this process died, by whoever starts the next.

    Args:
        environment: variables that a local cluster's own processes need besides.
        report: gets a line before Ray is started or joined, which takes its time.

    Raises:
        ClusterError: the cluster cannot be joined, or Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    folder = None
    if address != "local":
        report(f"joining the Ray cluster at {address}")
        _join(address)
    else:
        report("starting Ray on this machine")
        os.environ.update(environment)
        folder = _start(resources)
    try:
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            folder.close()


def _join(address: str) -> None:
    """Connect to a cluster.

    Raises:
        ClusterError: nobody answers there, the token is wrong, or the versions differ.
    """
    _check_reachable(address)
    try:
        with kept_signals():
            ray.init(address=address, log_to_driver=False, logging_level=ray_level())
    except Exception as error:
        ray.shutdown()
        raise ClusterError(_why_not_joined(address, error)) from error


def _check_reachable(address: str) -> None:
    """Ask the port, which tells within seconds what Ray finds out in a minute."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return
    for tries_left in (2, 1, 0):
        try:
            _greet(host.strip("[]"), int(port))
        except OSError as error:
            if not tries_left:
                raise ClusterError(
                    f"RAY_ADDRESS is {address}, where no Ray head answers "
                    f"({error.strerror or error})\n{START_OR_UNSET}"
                ) from error
            time.sleep(1.0)
        else:
            return


def _greet(host: str, port: int) -> None:
    """See that whoever listens speaks HTTP/2, as Ray's head does; for others Ray waits for ever.

    Source: RFC 9113, section 3.4: each side begins with a SETTINGS frame, type 4.

    Raises:
        OSError: nobody listens, or somebody else.
    """
    with socket.create_connection((host, port), timeout=REACH_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
            return
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        if connection.recv(9)[3:4] != b"\4":
            raise OSError("another server listens there")


def _why_not_joined(address: str, error: Exception) -> str:
    """What was found, and what to do, in two lines."""
    text = one_line(str(error), longest=300)
    lower = text.lower()
    remedy = "set RAY_AUTH_MODE=token and copy ~/.ray/auth_token from the cluster's head"
    if "version mismatch" in lower:
        advice = "run the Ray and Python that the cluster runs, or install these there"
    elif "token" in lower or "auth" in lower:
        advice = f"wanted the cluster's own token: {remedy}"
    elif "failed to connect" in lower:  # the port answers, but not to us
        advice = f"the port answers: its token may be another one ({remedy}), or it is no Ray head"
    else:
        advice = START_OR_UNSET
    return f"the cluster at RAY_ADDRESS={address} cannot be joined: {text}\n{advice}"


def _start(resources: ResourceSpec) -> ScratchFolder:
    """Start Ray on this machine; a busy one may need more than one try.

    Returns:
        the folder that holds its session, to be deleted once it is stopped.

    Raises:
        ClusterError: it did not start.
    """
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    for tries_left in reversed(range(START_TRIES)):
        folder = ScratchFolder("ray")
        try:
            _start_once(resources, folder.path)
        except BaseException as error:
            ray.shutdown()
            _end_processes(folder.path)
            folder.close()
            if not isinstance(error, Exception):
                raise
            text = one_line(str(error), longest=200)
            if not tries_left or isinstance(error, (OSError, ValueError, ImportError)):
                raise ClusterError(_why_not_started(text)) from error
            log.warning("Ray did not start (%s); trying again, %d left", text, tries_left)
            time.sleep(REST_SECONDS)
        else:
            return folder
    raise AssertionError("the last try returned or raised")


def _start_once(resources: ResourceSpec, folder: Path) -> None:
    wanted = resources.cpus_per_worker * max(resources.workers, resources.eval_actors)
    is_short = len(str(folder)) + len(SOCKET_PATH) <= MAX_SOCKET_PATH
    with kept_signals(), _without_token_notice():
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, wanted),
            include_dashboard=True,  # without it, Ray Train's cleaner floods the log
            log_to_driver=False,
            logging_level=ray_level(),
            runtime_env={"env_vars": QUIET_ENVIRONMENT},
            _temp_dir=str(folder) if is_short else None,
        )


@contextmanager
def _without_token_notice() -> Iterator[None]:
    """Say nothing of Ray's own default, which is safe; of a mode that somebody set, it may."""
    logger = logging.getLogger(NOTICE_LOGGER)
    level = logger.level
    logger.setLevel(logging.WARNING if "RAY_AUTH_MODE" in os.environ else logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _why_not_started(text: str) -> str:
    """What was found, and what to do, in two lines."""
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"Ray did not start on this machine in {START_TRIES} tries: {text}\n"
        f"load is {loads} on {os.cpu_count()} CPU(s), {free:.1f} GiB of memory free; end what "
        "keeps the machine busy and run this again, or set RAY_ADDRESS to a running cluster"
    )


def _end_processes(folder: Path) -> None:
    """End what a failed start left: processes of this user that name its session folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is another user's
            command = (process / "cmdline").read_bytes()
            if os.fsencode(folder) in command and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
