"""`ray up cluster.yaml`, with Ray's own code and a cloud in memory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from loray.artifacts.store import Store
from tests.cluster.conftest import TOKEN
from tests.cluster.launch import (
    REPOSITORY,
    MemoryProvider,
    launch,
    node_kinds,
    positions,
    read_cluster,
)


@pytest.fixture
def commands(launch_folder: Path) -> list[str]:
    MemoryProvider.reset()
    return launch(read_cluster(), launch_folder)


def test_one_head_is_created_and_no_worker(commands: list[str]):
    assert node_kinds() == [("head", "head")]


def test_commands_come_in_the_order_that_a_node_needs(commands: list[str]):
    steps = positions(
        commands,
        "(uptime)",
        "/.ray/auth_token ubuntu@",
        "dist/ ubuntu@",
        "ray_bootstrap_config.yaml",
        "mount -t nfs4",
        "docker pull rayproject/ray:",
        "docker run ",
        "torch ninja",
        "loray-*.whl)[all]",
        "ln -sfn /mnt/loray",
        "boto3)",
        "ray stop)",
        "ray start --head",
    )
    assert steps == sorted(steps)


def test_ray_starts_inside_the_container_with_a_token_and_without_cpus(commands: list[str]):
    run, start = (commands[i] for i in positions(commands, "docker run ", "ray start --head"))
    assert "-e RAY_AUTH_MODE=token" in run
    assert ":/home/ray/.ray/auth_token" in run
    assert "--runtime=nvidia" in run
    assert "docker exec" in start
    assert '{"CPU":0}' in start
    assert "--dashboard-host=127.0.0.1" in start


def test_work_in_progress_lies_on_the_disk_that_all_nodes_mount(commands: list[str]):
    mount, run = (commands[i] for i in positions(commands, "mount -t nfs4", "docker run "))
    assert "docker" not in mount  # the host mounts it
    assert "-v /mnt/loray:/mnt/loray" in run
    setup = "".join(MemoryProvider.processes.bootstrap["worker_setup_commands"])
    scratch = Store("s3://bucket/prefix").scratch.relative_to(Path.home())
    assert f"ln -sfn /mnt/loray ~/{scratch}" in setup


def test_ray_is_never_stopped_outside_the_container(commands: list[str]):
    stopping = [command for command in commands if "ray stop" in command]
    assert len(stopping) == 1
    assert stopping[0].index("docker exec") < stopping[0].index("ray stop")


def test_no_command_and_no_uploaded_settings_hold_the_token(commands: list[str]):
    processes = MemoryProvider.processes
    assert TOKEN not in "\n".join(commands)
    assert processes.bootstrap["cluster_name"] == "loray"
    assert TOKEN not in json.dumps(processes.bootstrap)
    tokens = [t for t, source in processes.uploads.items() if source.name == "auth_token"]
    assert len(tokens) == 1  # the file itself is what travels, over ssh


def test_the_head_passes_on_to_workers_what_it_was_given(commands: list[str]):
    bootstrap = MemoryProvider.processes.bootstrap
    assert bootstrap["file_mounts"] == {p: p for p in read_cluster()["file_mounts"]}
    assert "boto3" not in "".join(bootstrap["worker_setup_commands"])
    assert "[all]" in "".join(bootstrap["worker_setup_commands"])


def test_coming_up_again_keeps_the_head(launch_folder: Path, commands: list[str]):
    before = len(MemoryProvider.processes.commands)
    again = launch(read_cluster(), launch_folder)[before:]
    assert node_kinds() == [("head", "head")]
    assert any("ray start --head" in command for command in again)


@pytest.mark.parametrize("missing", [".ray/auth_token", "dist"])
def test_nothing_starts_without_a_token_or_a_wheel(launch_folder: Path, missing: str):
    MemoryProvider.reset()
    path = launch_folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        launch(read_cluster(), launch_folder)
    assert "ray start" not in str(MemoryProvider.processes.commands)
    assert node_kinds() == [("head", "head")]  # but Ray has paid for a head by then: `ray down`


@pytest.mark.ray  # no cluster, but pip takes 5 s to look through what is installed
def test_the_setup_commands_install_this_checkout_with_the_pinned_libraries(tmp_path: Path):
    folder = tmp_path / "loray"
    list(WheelBuilder(str(REPOSITORY)).build(directory=str(folder)))
    shutil.copy(REPOSITORY / "constraints.txt", folder)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_DRY_RUN": "1",
        "PIP_NO_INDEX": "1",  # what is asked for must be what the tests run with
        "PIP_REPORT": str(tmp_path / "report.json"),
    }
    (command,) = (c for c in read_cluster()["setup_commands"] if "loray-*.whl" in c)
    subprocess.run(["bash", "-c", command], env=environment, check=True, timeout=120)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    installed = {item["metadata"]["name"]: item for item in report["install"]}
    assert set(installed) == {"loray"}
    assert "all" in installed["loray"]["requested_extras"]
