"""What a job refuses before it starts anything."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loray.cli.exits import Exit
from loray.cli.job import MEANINGS, check_storage, refuse_small
from loray.cli.nodes import NodeReport, refuse_unfit, versions
from loray.errors import ClusterError, SpecError
from loray.spec.load import parse_run_spec
from loray.spec.run import RunSpec
from tests.conftest import REPOSITORY, WORKER_ENVIRONMENT
from tests.jobs.conftest import run_document

SCRATCH = Path("scratch")


@pytest.fixture
def spec() -> RunSpec:
    return parse_run_spec(yaml.safe_dump(run_document("rows.jsonl", "models/none")))


def stored(spec: RunSpec, root: str, registry: str) -> RunSpec:
    storage = spec.storage.model_copy(update={"root": root, "registry": registry})
    return spec.model_copy(update={"storage": storage})


@pytest.fixture
def node() -> NodeReport:
    return NodeReport("192.0.2.1", 4.0, 0.0, True, versions(), sees_scratch=True)


@pytest.mark.parametrize(
    ("root", "registry"),
    [
        ("s3://bucket/loray", "postgresql+psycopg://host/loray"),
        ("/shared/loray", "sqlite:////shared/loray/registry.db"),
    ],
)
def test_what_outlives_a_job_is_let_through(spec, root, registry):
    check_storage(stored(spec, root, registry))


def test_a_relative_root_is_refused_with_what_to_give_instead(spec):
    with pytest.raises(SpecError, match=r"'workspace'.*Ray deletes.*--set storage.root=s3://"):
        check_storage(stored(spec, "workspace", "sqlite:////shared/registry.db"))


def test_a_relative_registry_file_is_refused_with_what_to_give_instead(spec):
    with pytest.raises(SpecError, match=r"'sqlite:///r.db'.*Ray deletes.*storage.registry="):
        check_storage(stored(spec, "/shared", "sqlite:///r.db"))


def test_equal_nodes_that_share_their_scratch_folder_are_fit(node):
    refuse_unfit([node, dataclasses.replace(node, address="192.0.2.2")], SCRATCH)


def test_a_node_with_another_library_is_refused_by_name(node):
    other = dataclasses.replace(
        node, address="192.0.2.2", versions={**node.versions, "torch": "1.0"}
    )
    with pytest.raises(ClusterError, match=r"192\.0\.2\.2 has torch 1\.0 for .*constraints"):
        refuse_unfit([node, other], SCRATCH)


def test_a_node_without_a_library_is_refused(node):
    bare = {k: v for k, v in node.versions.items() if k != "torch"}
    with pytest.raises(ClusterError, match="torch absent for"):
        refuse_unfit([node, dataclasses.replace(node, versions=bare)], SCRATCH)


def test_a_node_that_does_not_share_the_scratch_folder_is_refused(node):
    apart = dataclasses.replace(node, address="192.0.2.2", sees_scratch=False)
    with pytest.raises(ClusterError, match=r"not that folder on 192\.0\.2\.2"):
        refuse_unfit([node, apart], SCRATCH)


def test_a_head_that_runs_nothing_need_not_be_like_the_others(node):
    bare = dataclasses.replace(node, cpus=0.0, versions={}, sees_scratch=False)
    refuse_unfit([bare, node], SCRATCH)


def test_too_few_places_for_the_workers_are_named(node, spec):
    refuse_small((node,), spec)
    with pytest.raises(ClusterError, match="room for 1 worker"):
        refuse_small((dataclasses.replace(node, cpus=1.0),), spec)
    wide = spec.model_copy(
        update={"resources": spec.resources.model_copy(update={"gpus_per_worker": 1})}
    )
    with pytest.raises(ClusterError, match=r"room for 0 worker.*1 GPU"):
        refuse_small((node,), wide)


def test_places_for_the_fewest_workers_are_enough(node, spec):
    def with_fewest(count: int) -> RunSpec:
        resources = spec.resources.model_copy(update={"min_workers": count})
        return spec.model_copy(update={"resources": resources})

    small = (dataclasses.replace(node, cpus=1.0),)
    refuse_small(small, with_fewest(1))
    with pytest.raises(ClusterError, match=r"resources\.min_workers is 2; lower it"):
        refuse_small(small, with_fewest(2))


def test_a_job_ends_with_its_exit_code_in_words(tmp_path: Path):
    """`ray job submit` itself ends with 1, whatever the job's own code was."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "jobs" / "curate.py"), "gone.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": WORKER_ENVIRONMENT["PYTHONPATH"]},
    )  # fmt: skip
    assert done.returncode == Exit.WRONG_SPEC
    first, last = done.stderr.splitlines()
    assert first.startswith("gone.yaml: no such file")
    assert last == "exit code 2: the spec is wrong; nothing was started"


def test_every_exit_code_has_words():
    assert set(MEANINGS) == set(Exit)
