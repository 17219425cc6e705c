"""Serve comes up, and goes down again: its proxies' port, its replicas, requests in flight."""

import logging
import time
from collections.abc import Callable
from typing import Any

from ray import serve
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.serve.config import HTTPOptions
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus

from loray.errors import ClusterError, EngineError
from loray.machines.ports import free_port, holder_of
from loray.machines.room import TELL_SECONDS, offered, replicas_wanted, waiting_words
from loray.pages.visible import one_line
from loray.serve.drain import FAREWELL_SECONDS
from loray.spec.run import RunSpec

logger = logging.getLogger(__name__)

APP_NAME = "loray"
PROXY_TRIES = 5
POLL_SECONDS = 0.5
ANSWER_SECONDS = 10.0
"""How much longer than it was given the ingress may take to say that it has drained."""
FLUSH_SECONDS = 1.0
"""For Ray's proxy to pass on the last bytes of what was in flight."""


def start_proxies(host: str, port: int, *, request_timeout_seconds: float) -> str:
    """Start Serve, or find it running; returns its address.

    On a busy machine Ray kills a proxy that is not ready in time, starts another, and tells who
    waited for the first one that it died. A port that was free may be taken before the proxy gets
    to it; where any port will do, the next one is tried.

    Args:
        port: 0 for any that is free.

    Raises:
        ClusterError: the port is taken, or no proxy started.
    """
    for tries_left in reversed(range(PROXY_TRIES)):
        chosen = port or free_port(host)
        options = HTTPOptions(host=host, port=chosen, request_timeout_s=request_timeout_seconds)
        try:
            serve.start(http_options=options)
        except (RayActorError, GetTimeoutError, TimeoutError) as error:
            if not tries_left:
                raise ClusterError(
                    f"Ray Serve's proxy did not start in {PROXY_TRIES} tries "
                    f"({one_line(str(error), longest=200)}); {offered()}; try again when the "
                    "machine is less busy"
                ) from error
            logger.warning("Ray's proxy was not ready in time; waiting for the next one")
        except RuntimeError as error:
            if "Failed to bind" not in str(error):
                raise
            serve.shutdown()
            if port or not tries_left:
                holder = holder_of(chosen) or "another process"
                raise ClusterError(
                    f"port {chosen} of {host} is taken by {holder}; end that, or give another "
                    "--port; 0 picks a free one"
                ) from error
            logger.warning("port %d was taken meanwhile; trying another one", chosen)
        else:
            return f"http://{host}:{_port_of_serve() or chosen}"
    raise AssertionError("the last try returned or raised")


def _port_of_serve() -> int | None:
    """Where Serve listens; one that ran before keeps its port, and only its client knows it."""
    from ray.serve.context import _get_global_client  # noqa: PLC0415

    client: Any = _get_global_client()
    options = client.http_config
    return int(options.port) if options.port else None


def await_replicas(spec: RunSpec, report: Callable[[str], None]) -> None:
    """Return when every deployment is healthy.

    Raises:
        ClusterError: they were not within `resources.start_seconds`.
        EngineError: a replica failed to start.
    """
    wanted = replicas_wanted(spec.resources, spec.serve.replicas)
    limit, began = spec.resources.start_seconds, time.monotonic()
    told = began
    while (status := serve.status().applications[APP_NAME]).status != ApplicationStatus.RUNNING:
        now = time.monotonic()
        if status.status == ApplicationStatus.DEPLOY_FAILED:
            raise EngineError(f"the server did not start: {_last_words(status)}")
        if now - began > limit:
            raise ClusterError(
                f"found no healthy server after {limit:g} s; wanted {wanted.words}; {offered()}; "
                "free or add nodes, lower serve.replicas, resources.cpus_per_worker or "
                "resources.gpus_per_worker, or raise resources.start_seconds where the base takes "
                "longer to load"
            )
        if now - told > TELL_SECONDS:
            told = now
            report(waiting_words(wanted, now - began, limit))
        time.sleep(POLL_SECONDS)


def _last_words(status: Any) -> str:  # noqa: ANN401 (Serve's own model, without types)
    """The error that a replica's traceback ends with."""
    texts = [each.message for each in status.deployments.values() if each.message]
    lines = [line.strip() for text in texts or [status.message] for line in text.splitlines()]
    return one_line(
        next((line for line in reversed(lines) if line), "no reason given"), longest=500
    )


def drain(spec: RunSpec, report: Callable[[str], None]) -> None:
    """Refuse newcomers, let requests in flight end, and cut off what takes too long.

    It never raises for want of an answer: whoever calls it is about to end the server anyway.
    """
    seconds = spec.serve.drain_seconds
    try:
        handle: Any = serve.get_app_handle(APP_NAME)
        patience = seconds + FAREWELL_SECONDS + ANSWER_SECONDS
        begun, cut = handle.stop.remote(seconds).result(timeout_s=patience)
    except (RayError, RayServeException, TimeoutError) as error:
        logger.warning("the server could not be drained: %s", one_line(str(error), longest=200))
        return
    if begun:
        report(f"{begun} request(s) were in flight: {begun - cut} finished, {cut} cut off")
        time.sleep(FLUSH_SECONDS)
