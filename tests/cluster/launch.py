"""A cloud that lives in this process: nodes are entries of a dictionary, commands are recorded.

Ray's own code runs against it, down to the text of every ssh, docker and rsync command; only the
processes are not started.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from ray.autoscaler._private.command_runner import DockerCommandRunner
from ray.autoscaler._private.commands import create_or_update_cluster
from ray.autoscaler._private.providers import _get_default_config
from ray.autoscaler._private.util import _hash_cache
from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

REPOSITORY = Path(__file__).resolve().parents[2]
CLUSTER_FILE = REPOSITORY / "cluster.yaml"


def read_cluster() -> dict[str, Any]:
    return yaml.safe_load(CLUSTER_FILE.read_text(encoding="utf-8"))


class RecordingProcesses:
    """What Ray calls instead of `subprocess`; answers as a machine with a GPU and Docker would."""

    DEVNULL = None

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.uploads: dict[str, Path] = {}
        self.bootstrap: dict[str, Any] = {}

    def check_call(self, command: list[str], **_: object) -> int:
        self.commands.append(command)
        if command[0] == "rsync":
            source, target = Path(command[-2]), command[-1].partition(":")[2]
            self.uploads[target] = source
            if "ray_bootstrap_config" in target:  # Ray deletes it when it is done
                self.bootstrap = json.loads(source.read_text(encoding="utf-8"))
        return 0

    def check_output(self, command: list[str]) -> bytes:
        self.commands.append(command)
        text = " ".join(command)
        answers = {
            ".State.Running": "false",
            ".Config.Env": json.dumps(["HOME=/home/ray"]),
            "printenv HOME": "/home/ray",
            "command -v docker": "docker",
            ".Runtimes": "map[nvidia:{nvidia-container-runtime}]",
            "meminfo": "MemAvailable: 16000000 kB",
        }
        return next((a for key, a in answers.items() if key in text), "").encode()


class MemoryProvider(NodeProvider):
    """An `external` node provider: a dictionary of tags by node id."""

    nodes: ClassVar[dict[str, dict[str, str]]] = {}
    processes: ClassVar[RecordingProcesses] = RecordingProcesses()

    @classmethod
    def reset(cls) -> None:
        cls.nodes = {}
        cls.processes = RecordingProcesses()

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        wanted = tag_filters.items()
        return [node for node, tags in self.nodes.items() if wanted <= tags.items()]

    def is_running(self, node_id: str) -> bool:
        return node_id in self.nodes

    def is_terminated(self, node_id: str) -> bool:
        return node_id not in self.nodes

    def node_tags(self, node_id: str) -> dict[str, str]:
        return dict(self.nodes[node_id])

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        self.nodes[node_id].update(tags)

    def external_ip(self, node_id: str) -> str:
        return "192.0.2.7"

    internal_ip = external_ip

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        for _ in range(count):
            self.nodes[f"node-{len(self.nodes)}"] = dict(tags)

    def terminate_node(self, node_id: str) -> None:
        del self.nodes[node_id]

    def get_command_runner(self, *arguments: Any) -> Any:
        log_prefix, node_id, auth, cluster_name, _, use_internal_ip, docker = arguments
        common = {
            "log_prefix": log_prefix,
            "node_id": node_id,
            "provider": self,
            "auth_config": auth,
            "cluster_name": cluster_name,
            "process_runner": self.processes,
            "use_internal_ip": use_internal_ip,
        }
        runner = DockerCommandRunner(docker, **common)
        runner.ssh_command_runner.ssh_control_path = None  # leaves no folder behind
        return runner


def launch(config: dict[str, Any], folder: Path) -> list[str]:
    """`ray up` of `config` against memory; every command line that it would have run, in order."""
    provider = {"type": "external", "module": f"{__name__}.MemoryProvider"}
    filled = {**_get_default_config({"type": "aws"}), **config, "provider": provider}
    for node_type in filled["available_node_types"].values():
        node_type["resources"] = {"CPU": 1, **node_type["resources"]}  # AWS would be asked
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(filled), encoding="utf-8")
    _hash_cache.clear()  # every launch is a process of its own
    create_or_update_cluster(
        str(path),
        override_min_workers=None,
        override_max_workers=None,
        no_restart=False,
        restart_only=False,
        yes=True,
        no_config_cache=True,
    )
    return [" ".join(command) for command in MemoryProvider.processes.commands]


def node_kinds() -> list[tuple[str, str]]:
    """Kind and node type of every node that was created."""
    tags = MemoryProvider.nodes.values()
    return [(node[TAG_RAY_NODE_KIND], node[TAG_RAY_USER_NODE_TYPE]) for node in tags]


def positions(commands: Sequence[str], *parts: str) -> list[int]:
    """Index of the first command that contains each part; fails for a part that none has."""
    return [next(i for i, command in enumerate(commands) if part in command) for part in parts]
