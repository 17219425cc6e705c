"""The learning rate finder over a spec: make its dataset, then try rates on it."""

import uuid
from collections.abc import Callable

from loray.artifacts.store import Store
from loray.pipeline.apply import apply
from loray.pipeline.cluster import cluster
from loray.pipeline.plan import make_plan
from loray.spec.run import RunSpec
from loray.train.rates import RateCurve, RateRange


def find_rates(spec: RunSpec, rates: RateRange, *, report: Callable[[str], None]) -> RateCurve:
    """The loss at each learning rate, on the dataset, base and method of `spec`.

    Raises:
        LorayError: the dataset cannot be made, or a worker met an error.
    """
    from loray.train.run import find_rates as on_workers  # noqa: PLC0415 (Ray Train)

    apply(spec, until="dataset", report=report)
    store = Store(spec.storage.root)
    stage = make_plan(spec).stages[0].stage
    store.verify(stage)
    dataset = store.location(stage)
    with cluster(spec.resources):
        return on_workers(
            store.scratch / ".work" / f"rates-{uuid.uuid4().hex[:8]}",
            spec,
            f"{dataset}/tokens",
            rates,
            report=lambda line: report(f"rates: {line}"),
        )
