"""Ports that are taken between choice and use, proxies that are late, replicas that never come."""

import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.schema import ApplicationStatus

from loray.errors import ClusterError, EngineError
from loray.machines import room
from loray.serve import starting
from loray.serve.starting import APP_NAME, PROXY_TRIES, await_replicas, start_proxies
from tests.serve.world import run_spec

HOST = "127.0.0.1"


class FakeServe:
    """Ray Serve as far as starting it goes: it fails with `errors`, one a start, then runs."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.ports: list[int] = []
        self.num_shut = 0

    def start(self, *, http_options: object) -> None:
        self.ports.append(http_options.port)
        if self.errors:
            raise self.errors.pop(0)

    def shutdown(self) -> None:
        self.num_shut += 1


def bind_failure() -> Exception:
    """As it comes out of the proxy's actor."""
    cause = RuntimeError("Failed to bind to address '127.0.0.1:43575'.")
    return RayTaskError("ready", "...\nRuntimeError: Failed to bind", cause).as_instanceof_cause()


def faked(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> FakeServe:
    fake = FakeServe(*errors)
    monkeypatch.setattr(serve, "start", fake.start)
    monkeypatch.setattr(serve, "shutdown", fake.shutdown)
    monkeypatch.setattr(starting, "_port_of_serve", lambda: fake.ports[-1])
    monkeypatch.setattr(starting, "offered", lambda: "the cluster has 2 CPUs")
    return fake


def test_a_port_that_is_taken_meanwhile_is_left_for_another(monkeypatch) -> None:
    fake = faked(monkeypatch, bind_failure(), bind_failure())
    address = start_proxies(HOST, 0, request_timeout_seconds=1.0)
    assert len(set(fake.ports)) == 3
    assert address == f"http://{HOST}:{fake.ports[-1]}"
    assert fake.num_shut == 2, "what could not listen is gone"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_was_asked_for_is_never_exchanged(monkeypatch, taken: int) -> None:
    fake = faked(monkeypatch, bind_failure())
    wanted = rf"port {taken} of {HOST} is taken by process {os.getpid()} \("
    with pytest.raises(ClusterError, match=wanted):
        start_proxies(HOST, taken, request_timeout_seconds=1.0)
    assert fake.ports == [taken]


def test_a_proxy_that_is_late_is_waited_for_a_few_times(monkeypatch) -> None:
    late = [ActorDiedError(), TimeoutError("HTTP proxies not available after 60s.")]
    fake = faked(monkeypatch, *late)
    assert start_proxies(HOST, 8000, request_timeout_seconds=1.0) == f"http://{HOST}:8000"
    fake = faked(monkeypatch, *late * PROXY_TRIES)
    with pytest.raises(ClusterError, match=rf"did not start in {PROXY_TRIES} tries"):
        start_proxies(HOST, 8000, request_timeout_seconds=1.0)
    assert len(fake.ports) == PROXY_TRIES


def test_any_other_error_is_raised_as_it_is(monkeypatch) -> None:
    faked(monkeypatch, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        start_proxies(HOST, 8000, request_timeout_seconds=1.0)


def reported(monkeypatch: pytest.MonkeyPatch, *statuses: ApplicationStatus, said: str = "") -> None:
    """Serve's status, one a question; the last one stays."""
    left = list(statuses)

    def status() -> object:
        current = left.pop(0) if len(left) > 1 else left[0]
        engine = SimpleNamespace(message=said)
        app = SimpleNamespace(status=current, message="", deployments={"engine": engine})
        return SimpleNamespace(applications={APP_NAME: app})

    monkeypatch.setattr(serve, "status", status)
    for where in (starting, room):
        monkeypatch.setattr(where, "offered", lambda: "the cluster has 2 CPUs")
    monkeypatch.setattr(starting, "POLL_SECONDS", 0.01)


def spec_of(tmp_path, seconds: float):
    spec = run_spec(tmp_path, tmp_path)
    resources = spec.resources.model_copy(update={"start_seconds": seconds, "gpus_per_worker": 1})
    return spec.model_copy(update={"resources": resources})


def test_a_server_that_comes_up_is_waited_for(monkeypatch, tmp_path) -> None:
    reported(monkeypatch, *[ApplicationStatus.DEPLOYING] * 3, ApplicationStatus.RUNNING)
    await_replicas(spec_of(tmp_path, 60), lambda line: None)


def test_replicas_that_never_start_are_given_up_on(monkeypatch, tmp_path) -> None:
    reported(monkeypatch, ApplicationStatus.DEPLOYING)
    monkeypatch.setattr(starting, "TELL_SECONDS", 0.1)
    said: list[str] = []
    with pytest.raises(ClusterError, match=r"wanted 1 replica of 1 CPU and 1 GPU"):
        await_replicas(spec_of(tmp_path, 0.5), said.append)
    assert "waiting for" in said[0]
    assert len(said) >= 3


def test_a_replica_that_fails_says_what_it_ended_with(monkeypatch, tmp_path) -> None:
    said = "The deployment failed to start 3 times\nray::x\n  File y\nModelError: no weights here\n"
    reported(monkeypatch, ApplicationStatus.DEPLOY_FAILED, said=said)
    with pytest.raises(EngineError, match=r"did not start: ModelError: no weights here$"):
        await_replicas(spec_of(tmp_path, 60), lambda line: None)
