"""Serve a spec's registry until told to stop."""

import json
import os
import shlex
import threading
from collections.abc import Callable

from loray.machines.room import refuse_impossible, replicas_wanted
from loray.pipeline.catalog import catalog_of
from loray.pipeline.cluster import cluster
from loray.planner.probe import check_base
from loray.serve.run import check_context, proxy_environment, serve_spec, served_name
from loray.serve.starting import drain
from loray.spec.run import RunSpec

MAX_NAMES = 8
"""Adapters that the line which says where they are served names."""


def serve_until_stopped(
    spec: RunSpec, *, host: str, port: int, report: Callable[[str], None]
) -> None:
    """Serve the adapters of `spec`'s registry over its base until SIGINT or SIGTERM.

    On a cluster that was there before, the application stays. One started here ends with us, after
    the requests in flight were answered or told.

    Raises:
        KeyboardInterrupt: a signal came.
        ModelError: the base model's files are damaged, or cannot be used.
    """
    check_context(spec)  # before Ray starts, which takes its time
    check_base(spec.base_model)
    is_ours = not os.environ.get("RAY_ADDRESS")
    with cluster(spec.resources, environment=proxy_environment(), report=report):
        refuse_impossible(replicas_wanted(spec.resources, spec.serve.replicas))
        catalog = catalog_of(spec)
        report("starting the server; its replicas load the base model")
        address = serve_spec(spec, catalog, host=host, port=port, report=report)
        refs = sorted({ref for ref, _ in catalog.listing()})
        for line in ready_lines(spec, address, refs):
            report(line)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            if is_ours:
                drain(spec, report)
            raise


def ready_lines(spec: RunSpec, address: str, refs: list[str]) -> list[str]:
    """Where what is served, and how to ask it.

    Args:
        refs: what can be asked beside the base: `name`, `name@version` and `name@alias`.
    """
    base = served_name(spec.base_model)
    is_chat = any(source.fields.text is None for source in spec.data.sources)
    ask = {"messages": [{"role": "user", "content": "Hello"}]} if is_chat else {"prompt": "Hello"}
    body = json.dumps({"model": refs[0] if refs else base, **ask})
    url = f"{address}/v1/{'chat/' if is_chat else ''}completions"
    command = ["curl", url, "-H", "Content-Type: application/json", "-d", body]
    return [
        f"serving on {address}/v1: the base {base}, and {served_words(refs)}",
        f"ask it: {shlex.join(command)}",
    ]


def served_words(refs: list[str]) -> str:
    """The references that are served, or of many the adapters' names, or some of these."""
    if not refs:
        return "no adapter yet"
    if len(refs) <= MAX_NAMES:
        return f"the adapters {', '.join(refs)}"
    names = sorted({ref.partition("@")[0] for ref in refs})
    more = len(names) - MAX_NAMES
    shown = ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"the adapters {shown} ({len(refs)} references; GET /v1/models lists them)"
