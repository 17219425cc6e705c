"""Whether every node of a cluster can do its part of a run.

A fingerprint names the library versions of the driver; a node with others would make something
else under the same name. Work in progress lies in files that every node writes; a folder that only
looks the same on two nodes would lose half of them.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import loray
from loray.artifacts.describe import environment
from loray.errors import ClusterError


@dataclass(frozen=True)
class NodeReport:
    """What one node answered."""

    address: str
    cpus: float
    gpus: float
    is_drivers: bool
    """The driver runs there."""
    versions: dict[str, str]
    """Of Python and of the libraries that change results; `loray` is the code that it imports."""
    sees_scratch: bool
    """A file that the driver wrote to the scratch folder is there too."""

    @property
    def is_idle(self) -> bool:
        """Nothing of a run is ever placed there, as on a head without CPUs."""
        return self.cpus == 0 and self.gpus == 0


def survey(scratch: Path) -> tuple[NodeReport, ...]:
    """Ask every live node; the driver's first. Needs a connection to Ray.

    Args:
        scratch: where stages keep what they have not committed yet.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in ray.nodes() if node["Alive"]]
    nodes.sort(key=lambda node: (node["NodeID"] != here, node["NodeManagerAddress"]))
    scratch.mkdir(parents=True, exist_ok=True)
    probe = scratch / f".probe-{uuid.uuid4().hex}"
    probe.touch()
    try:
        task = ray.remote(num_cpus=0)(examine)
        pending = []
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            pending.append(task.options(scheduling_strategy=there).remote(probe))
        answers = ray.get(pending)
    finally:
        probe.unlink()
    return tuple(
        _report(node, answer, is_drivers=node["NodeID"] == here)
        for node, answer in zip(nodes, answers, strict=True)
    )


def examine(probe: Path) -> dict[str, Any]:
    """Runs on the node in question: its versions, and whether it sees the file `probe`."""
    if probe.parent.is_dir():
        list(probe.parent.iterdir())  # a network disk remembers what it did not find
    return {"versions": versions(), "sees_scratch": probe.exists()}


def versions() -> dict[str, str]:
    """This process's Python, machine and library versions."""
    return {**environment(), "loray": loray.__version__}


def refuse_unfit(reports: Sequence[NodeReport], scratch: Path) -> None:
    """Let a run start only where every node would do the same.

    Raises:
        ClusterError: a node that work could be placed on has other versions than the driver, or
            does not share the scratch folder.
    """
    wanted = versions()
    working = [report for report in reports if not report.is_idle]
    for report in working:
        found = {k: report.versions.get(k, "absent") for k in wanted.keys() | report.versions}
        other = sorted(k for k, v in found.items() if v != wanted.get(k, "absent"))
        if other:
            listed = ", ".join(f"{k} {found[k]} for {wanted.get(k, 'absent')}" for k in other)
            raise ClusterError(
                f"node {report.address} has {listed}; wanted the driver's versions on every "
                "node; install the same constraints.txt on all of them"
            )
    apart = [report.address for report in working if not report.sees_scratch]
    if apart:
        raise ClusterError(
            f"{scratch} on the driver's node is not that folder on {', '.join(apart)}; wanted "
            "one folder that all nodes share, for stages keep there what is not committed yet; "
            "mount a network disk at that path on every node"
        )


def _report(node: dict[str, Any], answer: dict[str, Any], *, is_drivers: bool) -> NodeReport:
    return NodeReport(
        address=node["NodeManagerAddress"],
        cpus=node["Resources"].get("CPU", 0.0),
        gpus=node["Resources"].get("GPU", 0.0),
        is_drivers=is_drivers,
        **answer,
    )
