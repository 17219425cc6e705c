"""Ray that does not start, and clusters that cannot be joined: two lines, never a traceback."""

import http.server
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from loray.artifacts import scratch
from loray.errors import ClusterError
from loray.pipeline import cluster as module
from loray.pipeline.cluster import cluster
from loray.spec.run import ResourceSpec

STARTUP = "The current node timed out during startup. This could happen because some of the raylet"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not on the cluster of other tests, and with a folder of one's own."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(module, "REST_SECONDS", 0.0)
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))


class Starts:
    """`ray.init` of a busy machine: it fails so many times."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.left, self.error = failures, error
        self.folders: list[Path] = []

    def __call__(self, *, _temp_dir: str | None = None, **_: object) -> None:
        assert _temp_dir is None or Path(_temp_dir).is_dir()
        self.folders += [Path(_temp_dir)] if _temp_dir else []
        if self.left:
            self.left -= 1
            raise self.error


def test_a_start_that_fails_is_tried_again(monkeypatch, caplog, tmp_path: Path) -> None:
    starts = Starts(2, Exception(STARTUP))
    monkeypatch.setattr(ray, "init", starts)
    with caplog.at_level(logging.WARNING), cluster(ResourceSpec()):
        kept = [folder for folder in starts.folders if folder.exists()]
        assert kept == starts.folders[2:]
    assert [record.args[1] for record in caplog.records] == [2, 1]
    assert not any(folder.exists() for folder in starts.folders), "sessions are cleaned up"


def test_before_ray_starts_a_line_says_so(monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(ray, "init", lambda **_: said.append("ray.init"))
    with cluster(ResourceSpec(), report=said.append):
        assert said == ["starting Ray on this machine", "ray.init"]


@pytest.mark.parametrize(("mode", "is_said"), [(None, False), ("disabled", True)])
def test_a_token_that_ray_asks_for_by_default_is_no_warning(
    monkeypatch, caplog, mode: str | None, *, is_said: bool
) -> None:
    from ray._private.authentication import authentication_token_setup as setup

    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    warn = setup._warn_token_auth_enabled if mode is None else setup._warn_token_auth_disabled
    monkeypatch.setattr(ray, "init", lambda **_: warn())
    with caplog.at_level(logging.WARNING), cluster(ResourceSpec()):
        pass
    assert bool(caplog.records) is is_said
    assert setup.logger.name == module.NOTICE_LOGGER
    assert setup.logger.level == logging.NOTSET


def test_a_start_that_fails_for_good_is_explained_in_two_lines(monkeypatch) -> None:
    starts = Starts(99, Exception(STARTUP))
    monkeypatch.setattr(ray, "init", starts)
    with pytest.raises(ClusterError) as told, cluster(ResourceSpec()):
        pass
    first, second = str(told.value).splitlines()
    assert first.startswith(f"Ray did not start on this machine in 3 tries: {STARTUP}")
    assert second.startswith("load is ")
    assert "end what keeps the machine busy" in second
    assert starts.left == 99 - module.START_TRIES
    assert not any(folder.exists() for folder in starts.folders)


def test_what_no_try_mends_is_not_tried_again(monkeypatch) -> None:
    starts = Starts(99, OSError(28, "No space left on device"))
    monkeypatch.setattr(ray, "init", starts)
    with pytest.raises(ClusterError, match="No space left on device"), cluster(ResourceSpec()):
        pass
    assert starts.left == 98


@pytest.fixture
def web_server() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def refused(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError) as told, cluster(ResourceSpec()):
        pass
    text = str(told.value)
    assert len(text.splitlines()) == 2
    assert address in text
    return text


def test_an_address_where_nobody_answers_is_named(monkeypatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert "Connection refused" in refused(f"127.0.0.1:{port}", monkeypatch)


def test_an_address_of_another_server_is_no_cluster(monkeypatch, web_server: int) -> None:
    assert "another server listens there" in refused(f"127.0.0.1:{web_server}", monkeypatch)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Version mismatch: The cluster was started with:\n    Ray: 2.9.0", "run the Ray and Pyth"),
        ("Token authentication is enabled but no authentication token was found", "RAY_AUTH_MODE"),
        ("Failed to connect to Ray cluster at 10.0.0.1:6379", "its token may be another one"),
        ("Could not find any running Ray instance.", "start the cluster"),
    ],
)
def test_what_ray_says_of_a_cluster_comes_with_a_remedy(monkeypatch, said, advice) -> None:
    monkeypatch.setattr(ray, "init", Starts(99, RuntimeError(said)))
    text = refused("auto", monkeypatch)
    assert said.splitlines()[0][:40] in text
    assert advice in text
