"""The room that a cluster has for processes of ours, and what to say while there is too little."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loray.errors import ClusterError
from loray.spec.run import ResourceSpec

POLL_SECONDS = 0.5
GPU_TYPE = "accelerator_type:"
"""How Ray begins the names of kinds of GPU."""
TELL_SECONDS = 30.0
"""How often it is said what is waited for."""


@dataclass(frozen=True)
class Wanted:
    """Processes that have to run at the same time."""

    kind: str
    """What they are, in the plural: workers, scorers, replicas."""
    count: int
    cpus: float
    """Of each."""
    gpus: float
    """Of each."""
    field: str
    """The field of the spec that says how many."""

    @property
    def words(self) -> str:
        """How many of what, with what each needs."""
        of = ", each of" if self.count > 1 else " of"
        return f"{counted(self.count, self.kind)}{of} {amounts(self.cpus, self.gpus)}"


def workers_wanted(resources: ResourceSpec) -> Wanted:
    """The fewest workers that a training goes on with."""
    field = "workers" if resources.min_workers is None else "min_workers"
    return _wanted("workers", resources.fewest_workers, resources, f"resources.{field}")


def scorers_wanted(resources: ResourceSpec) -> Wanted:
    """One actor is enough for an evaluation."""
    return _wanted("scorers", 1, resources, "resources.eval_actors")


def replicas_wanted(resources: ResourceSpec, count: int) -> Wanted:
    """All engine replicas of a server."""
    return _wanted("replicas", count, resources, "serve.replicas")


def places(nodes: Iterable[tuple[float, float]], wanted: Wanted) -> int:
    """How many of the wanted processes such nodes hold together.

    Args:
        nodes: CPUs and GPUs of each.
    """
    held = 0
    for cpus, gpus in nodes:
        by_cpu = int(cpus // wanted.cpus)
        held += min(by_cpu, int(gpus // wanted.gpus)) if wanted.gpus else by_cpu
    return held


def refuse_impossible(*wanted: Wanted) -> None:
    """Refuse what a cluster that this process started by itself can never hold.

    Such a cluster is this machine, and nothing joins it. Others may grow, by an autoscaler or by
    hand, so there it is waited for, up to `resources.start_seconds`.

    Raises:
        ClusterError: there are too few CPUs or GPUs.
    """
    if not _is_this_machine():
        return
    for each in wanted:
        if (room := places(_live_nodes(), each)) < each.count:
            raise ClusterError(
                f"found room for {room or 'none'}; wanted {each.words}; {offered()}; lower "
                f"{each.field}, resources.cpus_per_worker or resources.gpus_per_worker, or set "
                "RAY_ADDRESS to a cluster that has more"
            )


def await_place(resources: ResourceSpec, report: Callable[[str], None]) -> None:
    """Return when a cluster without an autoscaler has a CPU; curation would wait without a word.

    An autoscaler acts on what curation asks for, so there it begins at once.

    Raises:
        ClusterError: there was none for `resources.start_seconds`.
    """
    import ray  # noqa: PLC0415

    if ray._private.state.state.get_max_resources_from_cluster_config():  # noqa: SLF001
        return
    wanted = Wanted("curation tasks", 1, 1.0, 0.0, "resources.workers")
    began = told = time.monotonic()
    while not places(_live_nodes(), wanted):
        now = time.monotonic()
        if now - began > resources.start_seconds:
            raise ClusterError(given_up_words(wanted, resources.start_seconds))
        if now - told > TELL_SECONDS:
            told = now
            report(waiting_words(wanted, now - began, resources.start_seconds))
        time.sleep(POLL_SECONDS)


def offered() -> str:
    """What the cluster has and what of it is free, in words."""
    import ray  # noqa: PLC0415 (takes 1 s to import)

    return offered_words(ray.cluster_resources(), ray.available_resources(), len(_live_nodes()))


def offered_words(total: Mapping[str, float], free: Mapping[str, float], num_nodes: int) -> str:
    """What a cluster has and what of it is free.

    Args:
        total: amounts by kind, as Ray names them.
        free: likewise.
    """
    has, left = (amounts(of.get("CPU", 0.0), of.get("GPU", 0.0)) for of in (total, free))
    types = sorted(k.removeprefix(GPU_TYPE) for k in total if k.startswith(GPU_TYPE))
    named = f" ({', '.join(types)})" if types else ""
    return f"the cluster has {has}{named} on {counted(num_nodes, 'nodes')}; free are {left}"


def counted(number: float, plural: str) -> str:
    """A number of things, such as `1 worker` or `2 workers`."""
    return f"{number:g} {plural.removesuffix('s') if number == 1 else plural}"


def amounts(cpus: float, gpus: float) -> str:
    """CPUs and GPUs in words."""
    return f"{counted(cpus, 'CPUs')} and {counted(gpus, 'GPUs')}"


def groups_placed(wanted: Wanted) -> frozenset[str]:
    """Ids of the cluster's placement groups that have their nodes and are large enough.

    Ray does not say whose they are; the new ones are likely those of who asks.
    """
    import ray.util  # noqa: PLC0415

    table: dict[str, Any] = ray.util.placement_group_table()
    return frozenset(
        name
        for name, group in table.items()
        if group["state"] == "CREATED" and len(group["bundles"]) >= wanted.count
    )


def waiting_words(wanted: Wanted, waited: float, limit: float, *, has_room: bool = False) -> str:
    """That something is waited for.

    Args:
        has_room: the processes have their nodes, and are slow to start there.
    """
    what = "they have room and are starting" if has_room else offered()
    return (
        f"waiting for {waited:.0f} s for {wanted.words}, to start; {what}; "
        f"giving up after {limit:g} s"
    )


def given_up_words(wanted: Wanted, limit: float, *, has_room: bool = False) -> str:
    """That it did not come.

    Args:
        has_room: the processes have their nodes, and did not start there.
    """
    if has_room:
        return (
            f"found room for {wanted.words}, which did not start in {limit:g} s; end other work "
            "on the machine, or raise resources.start_seconds"
        )
    return (
        f"found no room for {limit:g} s; wanted {wanted.words}; {offered()}; free or add nodes, "
        f"lower {wanted.field}, resources.cpus_per_worker or resources.gpus_per_worker, or raise "
        "resources.start_seconds where an autoscaler takes longer"
    )


def _wanted(kind: str, count: int, resources: ResourceSpec, field: str) -> Wanted:
    return Wanted(kind, count, resources.cpus_per_worker, resources.gpus_per_worker, field)


def _live_nodes() -> list[tuple[float, float]]:
    import ray  # noqa: PLC0415

    offers = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(offer.get("CPU", 0.0), offer.get("GPU", 0.0)) for offer in offers]


def _is_this_machine() -> bool:
    """Whether this process started the cluster; Ray has no public way to ask."""
    import ray  # noqa: PLC0415

    node: Any = ray._private.worker._global_node  # noqa: SLF001
    return node is not None and bool(node.is_head())
