"""From a run spec and a catalog to a running Ray Serve application."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import serve

from loray.errors import SpecError
from loray.serve.catalog import Catalog
from loray.serve.edge import PROXY_CALLBACK
from loray.serve.engine_server import (
    HEALTH_PERIOD_SECONDS,
    HEALTH_TIMEOUT_SECONDS,
    EngineServer,
)
from loray.serve.ingress_server import IngressServer, engine_capacity
from loray.serve.replica_logs import SERVE_LOGGER
from loray.serve.starting import APP_NAME, await_replicas, start_proxies
from loray.spec.run import RunSpec
from loray.spec.serve import ServeSpec
from loray.spec.train import BaseModelSpec

logger = logging.getLogger(__name__)

PROXY_GRACE_SECONDS = 10.0
"""How much later than our own deadline Ray's proxy gives up, should ours fail."""
DRAIN_SECONDS = 5.0
"""Beyond the longest request, for a replica that is to go."""
INGRESS_CPUS = 0
"""Reserved; it mostly waits, and a one-core machine has to serve too."""
ENGINE_SLACK = 16
"""For calls that are no requests, as `/readyz` makes; the ingress counts the requests."""
INGRESS_SLACK = 64
"""For requests that need no engine, and for those being refused."""
RETRY_AFTER_SECONDS = 1
PROXY_PATIENCE = ("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
CONSTRUCTOR_TRIES = 3
"""A base model that cannot be loaded now will not load at the twentieth try either."""


def build_application(spec: RunSpec, catalog: Catalog) -> serve.Application:
    """The ingress and engine deployments, bound to `spec`; nothing starts yet.

    Args:
        spec: a path of a local base model is made absolute: replicas may run elsewhere.
        catalog: knows the adapters; it is pickled to the replicas.

    Raises:
        SpecError: `serve.max_context` is more than the base model reads.
    """
    check_context(spec)
    name = served_name(spec.base_model)
    base = spec.base_model
    if Path(base.path).is_dir():
        base = base.model_copy(update={"path": str(Path(base.path).absolute())})
    placed = spec.model_copy(update={"base_model": base})
    engine = serve.deployment(
        name="engine",
        num_replicas=spec.serve.replicas,
        ray_actor_options={
            "num_cpus": spec.resources.cpus_per_worker,
            "num_gpus": spec.resources.gpus_per_worker,
        },
        max_ongoing_requests=engine_capacity(spec.serve) + ENGINE_SLACK,
        **_waiting(spec.serve),
    )(EngineServer)
    ingress = serve.deployment(
        name="ingress",
        num_replicas=1,
        ray_actor_options={"num_cpus": INGRESS_CPUS},
        max_ongoing_requests=_ingress_capacity(spec.serve),
        **_waiting(spec.serve),
    )(serve.ingress()(IngressServer))
    return ingress.bind(placed, name, catalog, engine.bind(placed, catalog))


def serve_spec(
    spec: RunSpec,
    catalog: Catalog,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    report: Callable[[str], None] = logger.info,
) -> str:
    """Start or renew the application on the Ray cluster this process is connected to.

    Running again with another spec replaces the deployments without a gap; host and port stay
    those of the first time, as long as Serve runs.

    Args:
        port: to listen on; 0 picks a free one.
        report: hears what is waited for, if it takes long.

    Returns:
        the server's address, once every deployment is healthy.

    Raises:
        ClusterError: the port is taken, or the replicas did not start in time.
        EngineError: a replica failed to start.
    """
    logging.getLogger(SERVE_LOGGER).setLevel(logging.WARNING)  # in this process alone
    application = build_application(spec, catalog)
    timeout = spec.serve.request_timeout_seconds + PROXY_GRACE_SECONDS
    address = start_proxies(host, port, request_timeout_seconds=timeout)
    target = serve.RunTarget(application, name=APP_NAME, route_prefix="/")
    serve.run_many(
        [target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
    )
    await_replicas(spec, report)
    logger.info("serving %s and its adapters on %s", served_name(spec.base_model), address)
    return address


def proxy_environment() -> dict[str, str]:
    """What Serve's own processes need in their environment.

    Ray's proxies then take off headers that steer Ray, and may take a minute to start. They
    inherit it from the process that starts the local cluster, from the runtime environment of the
    job that starts Serve, or from `ray start`'s own environment.
    """
    return dict([PROXY_CALLBACK, PROXY_PATIENCE])


def served_name(base: BaseModelSpec) -> str:
    """What clients call the base model: its hub id, or the last part of a local folder's path."""
    return Path(base.path).name if base.revision is None else base.path


def _ingress_capacity(spec: ServeSpec) -> int:
    """All that the engines may have and all that may wait for them; more is refused in shape."""
    return spec.replicas * engine_capacity(spec) + spec.max_queued_requests + INGRESS_SLACK


def _waiting(spec: ServeSpec) -> dict[str, Any]:
    """Options of both deployments: what waits, what is refused, and how replicas come and go."""
    return {
        "max_queued_requests": spec.max_queued_requests,
        "backpressure_config": {"status_code": 429, "retry_after_s": RETRY_AFTER_SECONDS},
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": spec.request_timeout_seconds + DRAIN_SECONDS,
        "health_check_period_s": HEALTH_PERIOD_SECONDS,
        "health_check_timeout_s": HEALTH_TIMEOUT_SECONDS,
        "max_constructor_retry_count": CONSTRUCTOR_TRIES,
    }


def check_context(spec: RunSpec) -> None:
    """Refuse here what every replica's engine would refuse, where its config is at hand.

    Raises:
        SpecError: `serve.max_context` is more than the base model reads.
    """
    path = Path(spec.base_model.path) / "config.json"
    if not path.is_file():
        return
    most = json.loads(path.read_text(encoding="utf-8")).get("max_position_embeddings")
    if most is not None and spec.serve.max_context > most:
        raise SpecError(
            f"serve.max_context is {spec.serve.max_context}, the base model "
            f"{spec.base_model.path} reads {most} positions; set it to {most} or less"
        )
