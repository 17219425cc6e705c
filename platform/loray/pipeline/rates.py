"""The learning rate finder over a spec: make its dataset, then try rates on it."""

import uuid
from collections.abc import Callable

from loray.artifacts.store import Store
from loray.machines.disk import refuse_unwritable
from loray.machines.passing import prefixed
from loray.machines.room import refuse_impossible, workers_wanted
from loray.pipeline.apply import apply
from loray.pipeline.cluster import cluster
from loray.pipeline.leased import rates_key
from loray.pipeline.plan import make_plan
from loray.registry import RunLedger
from loray.spec.run import RunSpec
from loray.train.rates import RateCurve, RateRange


def find_rates(spec: RunSpec, rates: RateRange, *, report: Callable[[str], None]) -> RateCurve:
    """The loss at each learning rate, on the dataset, base and method of `spec`.

    A lease keeps the dataset and the work folder from `loray clean`.

    Raises:
        ArtifactError: the storage cannot be written.
        ClusterError: Ray does not start, or has no room for the workers.
        LorayError: the dataset cannot be made, or a worker met an error.
    """
    from loray.train.run import find_rates as on_workers  # noqa: PLC0415 (Ray Train)

    store, mark = Store(spec.storage.root), uuid.uuid4().hex[:8]
    refuse_unwritable(store.scratch)
    stage = make_plan(spec).stages[0].stage
    with cluster(spec.resources):
        refuse_impossible(workers_wanted(spec.resources))
        apply(spec, until="dataset", report=report)
        with RunLedger(spec.storage.registry).acquire(rates_key(spec.name, mark)):
            store.verify(stage)
            dataset = store.location(stage)
            return on_workers(
                store.scratch / ".work" / f"rates-{mark}",
                spec,
                f"{dataset}/tokens",
                rates,
                report=prefixed("rates", report),
            )
