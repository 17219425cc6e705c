"""cluster.yaml against moto's EC2: AWS's own checks of every field, and what would be running."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME

from tests.cluster.launch import read_cluster

pytestmark = pytest.mark.ray  # no cluster, but moto takes 5 s to list what EC2 offers


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The file as Ray's AWS provider fills it in; keys, groups and subnets are moto's."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # Ray writes its key there
        patch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        for name in ("loray-head", "loray-worker"):
            boto3.client("iam").create_instance_profile(InstanceProfileName=name)
        filled = AWSNodeProvider.fillout_available_node_types_resources(
            prepare_config(read_cluster())
        )
        validate_config(filled)
        yield AWSNodeProvider.bootstrap_config(filled)


def start(config: dict[str, Any], node_type: str) -> Any:
    """One instance of `node_type`, through Ray's provider."""
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    tags = {
        TAG_RAY_NODE_KIND: node_type,
        TAG_RAY_LAUNCH_CONFIG: "hash",
        TAG_RAY_NODE_NAME: node_type,
    }
    node_config = config["available_node_types"][node_type]["node_config"]
    (instance,) = provider.create_node(node_config, tags, 1).values()
    found = boto3.client("ec2").describe_instances(InstanceIds=[instance.id])
    return found["Reservations"][0]["Instances"][0]


def test_the_autoscaler_knows_what_each_node_type_offers(aws: dict[str, Any]):
    offered = {name: t["resources"] for name, t in aws["available_node_types"].items()}
    assert offered["head"] == {"CPU": 0}
    assert {name: r.get("GPU") for name, r in offered.items() if name != "head"} == {
        "gpu-1": 1,
        "gpu-4": 4,
        "gpu-8": 8,
    }
    kinds = {key for r in offered.values() for key in r if key.startswith("accelerator_type:")}
    assert len(kinds) == 1


def test_the_head_runs_on_demand_under_its_own_profile(aws: dict[str, Any]):
    instance = start(aws, "head")
    assert instance.get("InstanceLifecycle") is None
    assert instance["IamInstanceProfile"]["Arn"].endswith("/loray-head")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"


@pytest.mark.parametrize("node_type", ["gpu-1", "gpu-4", "gpu-8"])
def test_workers_run_on_spot_under_theirs(aws: dict[str, Any], node_type: str):
    instance = start(aws, node_type)
    assert instance["InstanceLifecycle"] == "spot"
    assert instance["IamInstanceProfile"]["Arn"].endswith("/loray-worker")


def test_only_ssh_is_open_to_the_world(aws: dict[str, Any]):
    groups = boto3.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["loray-cluster"]}]
    )["SecurityGroups"]
    (group,) = groups
    world = [rule for rule in group["IpPermissions"] if rule["IpRanges"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in world] == [(22, 22)]


def test_the_key_that_ray_makes_is_for_its_owner_only(aws: dict[str, Any]):
    key = Path(aws["auth"]["ssh_private_key"])
    assert key.stat().st_mode & 0o077 == 0
