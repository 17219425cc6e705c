"""What cluster.yaml says, read as Ray reads it."""

import copy
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import ray.autoscaler
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.launch import CLUSTER_FILE, REPOSITORY, read_cluster

# What Ray's AWS provider reads from `provider`. Ray's schema lets every other key through, so that
# a misspelled one changes nothing and says nothing. `aws_credentials` is left out: it is a secret.
AWS_PROVIDER_KEYS = {
    "type", "region", "availability_zone", "cache_stopped_nodes", "security_group", "key_pair",
    "use_internal_ips", "use_external_head_ip", "cloudwatch", "disable_node_updaters",
    "disable_launch_config_check",
}  # fmt: skip
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|aws_secret|secret_access_key|PRIVATE KEY|hf_[A-Za-z]{20}"
    r"|RAY_AUTH_TOKEN=|[0-9a-f]{40}",
    re.IGNORECASE,
)


@pytest.fixture
def cluster() -> dict[str, Any]:
    return read_cluster()


@pytest.fixture
def head(cluster: dict[str, Any]) -> dict[str, Any]:
    return cluster["available_node_types"][cluster["head_node_type"]]


@pytest.fixture
def workers(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    types = cluster["available_node_types"].items()
    return [node_type for name, node_type in types if name != cluster["head_node_type"]]


def unknown_provider_keys(cluster: dict[str, Any]) -> set[str]:
    return set(cluster["provider"]) - AWS_PROVIDER_KEYS


def pinned(package: str) -> str:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


def test_ray_accepts_it(cluster: dict[str, Any]):
    validate_config(prepare_config(cluster))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("max_worker",), 3),
        (("head_node_type",), "heads"),
        (("available_node_types", "gpu-1", "min_workers"), 9),
        (("available_node_types", "gpu-1", "max_workers"), "2"),
        (("docker", "container_nam"), "x"),
    ],
)
def test_rays_check_would_have_seen_a_slip(cluster: dict[str, Any], path, value):
    *parents, last = path
    place = cluster
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises((ValueError, ValidationError)):
        validate_config(prepare_config(cluster))


def test_every_provider_key_is_one_that_ray_reads(cluster: dict[str, Any]):
    assert unknown_provider_keys(cluster) == set()
    misspelled = copy.deepcopy(cluster)
    misspelled["provider"]["availibility_zone"] = "us-west-2a"
    validate_config(prepare_config(misspelled))  # Ray says nothing
    assert unknown_provider_keys(misspelled) == {"availibility_zone"}


def test_the_list_of_provider_keys_is_not_made_up():
    folder = Path(ray.autoscaler.__file__).parent / "_private"
    files = [*folder.glob("*.py"), *(folder / "aws").rglob("*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [key for key in AWS_PROVIDER_KEYS if f'"{key}"' not in source] == []


def test_the_image_has_the_pinned_ray_and_python(cluster: dict[str, Any]):
    tag = cluster["docker"]["image"].partition(":")[2]
    assert tag.startswith(f"{pinned('ray')}-py311-cu")


def test_the_head_is_on_demand_and_runs_no_tasks(head: dict[str, Any]):
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"]["CPU"] == 0


def test_workers_are_spot_and_none_waits_for_work(cluster, workers):
    assert len(workers) > 1
    for worker in workers:
        assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert worker["min_workers"] == 0
        assert 0 < worker["max_workers"] <= cluster["max_workers"]
    assert 0 < cluster["idle_timeout_minutes"] <= 15


def test_all_gpus_are_of_one_family(workers):
    families = {w["node_config"]["InstanceType"].partition(".")[0] for w in workers}
    assert len(families) == 1


def test_nodes_reach_s3_by_instance_profiles_that_the_file_only_names(head, workers):
    for node_type in (head, *workers):
        assert set(node_type["node_config"]["IamInstanceProfile"]) == {"Name"}
    # Workers must not inherit the head's right to start machines.
    head_profile = head["node_config"]["IamInstanceProfile"]["Name"]
    profiles = {w["node_config"]["IamInstanceProfile"]["Name"] for w in workers}
    assert head_profile not in profiles


def test_every_node_has_a_big_encrypted_volume_and_guards_its_credentials(head, workers):
    for node_type in (head, *workers):
        config = node_type["node_config"]
        volume = config["BlockDeviceMappings"][0]["Ebs"]
        assert volume["VolumeSize"] >= 200
        assert volume["Encrypted"] is True
        assert config["MetadataOptions"]["HttpTokens"] == "required"


def test_the_dashboard_listens_on_loopback_only(cluster: dict[str, Any]):
    start = cluster["head_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in start.split()
    assert "0.0.0.0" not in CLUSTER_FILE.read_text(encoding="utf-8")


def test_token_authentication_is_on_and_the_token_is_a_mounted_file(cluster: dict[str, Any]):
    assert "-e RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_the_head_has_what_serving_and_the_notebook_start_from(cluster: dict[str, Any]):
    for folder in ("serve_apps", "configs", "models", "notebooks"):
        assert cluster["file_mounts"][f"~/checkout/{folder}"] == folder
        assert (REPOSITORY / folder).is_dir()


def test_proxies_strip_headers_that_steer_ray(cluster: dict[str, Any]):
    wanted = "-e RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH="
    (option,) = [o for o in cluster["docker"]["run_options"] if o.startswith(wanted)]
    module, _, name = option.removeprefix(wanted).rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_containers_region_is_the_providers(cluster: dict[str, Any]):
    assert f"-e AWS_REGION={cluster['provider']['region']}" in cluster["docker"]["run_options"]
    zones = cluster["provider"]["availability_zone"].split(",")
    assert all(zone.startswith(cluster["provider"]["region"]) for zone in zones)


def test_there_is_no_secret_in_it():
    text = CLUSTER_FILE.read_text(encoding="utf-8")
    assert SECRET.findall(text) == []
    assert SECRET.search("-e RAY_AUTH_TOKEN=abc")
