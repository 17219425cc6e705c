"""Serve a spec's registry until told to stop."""

import signal
import threading
from collections.abc import Callable

from loray.pipeline.catalog import catalog_of
from loray.pipeline.cluster import cluster
from loray.planner.probe import check_base
from loray.serve.run import proxy_environment, serve_spec
from loray.spec.run import RunSpec


def serve_until_stopped(
    spec: RunSpec, *, host: str, port: int, report: Callable[[str], None]
) -> None:
    """Serve the adapters of `spec`'s registry over its base until SIGINT or SIGTERM.

    On a cluster that was there before, the application stays; on one started here it ends with us.

    Raises:
        ModelError: the base model's files are damaged, or cannot be used.
    """
    check_base(spec.base_model)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with cluster(spec.resources, environment=proxy_environment()):
        address = serve_spec(spec, catalog_of(spec), host=host, port=port)
        names = sorted({ref for ref, _ in catalog_of(spec).listing()})
        report(f"serving on {address}/v1: {', '.join(names) or 'no adapter yet, the base only'}")
        stopped.wait()
