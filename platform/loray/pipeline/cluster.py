"""Join the Ray cluster there is, or start one on this machine."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import ray

from loray.spec.run import ResourceSpec

QUIET_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # torch's thread count is set from the spec instead
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


@contextmanager
def cluster(
    resources: ResourceSpec, *, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[None]:
    """Be connected to Ray while the body runs.

    A driver that is connected already stays so. `RAY_ADDRESS` names a cluster to join. Otherwise a
    local one is started with at least the CPUs that the spec asks for (Ray's CPUs are a count, so
    more workers than cores run slower, not never), and stopped at the end; its workers inherit
    this process's environment, credentials included, which Ray's own records then never hold.

    Args:
        environment: variables that a local cluster's own processes need besides.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    else:
        os.environ.update(environment)
        wanted = resources.cpus_per_worker * max(resources.workers, resources.eval_actors)
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, wanted),
            include_dashboard=True,  # without it, Ray Train's cleaner floods the log
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"env_vars": QUIET_ENVIRONMENT},
        )
    try:
        yield
    finally:
        ray.shutdown()
