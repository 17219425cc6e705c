"""Ray Train workers: equal to one another, and a killed one costs nothing but time."""

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from loray.errors import LeaseError, TrainingError
from loray.spec.run import RunSpec
from tests.train.sequences import make_rows, make_spec, write_tokens

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
BATCH = {"global_size": 8, "micro_size": 2}
TOLERANCE = 1e-5
"""Largest relative difference between losses of one worker and of two."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_tokens(folder, make_rows(40), per_part=15)
    return folder


def train(
    spec: RunSpec,
    dataset: Path,
    out: Path,
    lines: list[str] | None = None,
    *,
    attempt: int = 1,
) -> list[float]:
    """Train into `out`; returns the losses."""
    from loray.train.run import train_to

    out.mkdir(exist_ok=True)
    report = (lines if lines is not None else []).append
    train_to(out, spec, f"{dataset}/tokens", attempt=attempt, report=report)
    return [json.loads(line)["loss"] for line in (out / "history.jsonl").read_text().splitlines()]


def digest(out: Path, step: int) -> str:
    weights = out / "checkpoints" / f"step-{step:06d}" / "adapter_model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def spec_of(model: Path, **changes: Any) -> RunSpec:
    """Two workers, each of which holds a share of each weight."""
    settings = {
        "resources": {"workers": 2},
        "train__batch": BATCH,
        "train__steps": 24,
        "train__strategy": {"kind": "deepspeed", "zero_stage": 3},
    }
    return make_spec(model, **{**settings, **changes})


@pytest.fixture(scope="module")
def two_workers(
    tmp_path_factory: pytest.TempPathFactory, model: Path, dataset: Path
) -> tuple[Path, list[float]]:
    out = tmp_path_factory.mktemp("two")
    return out, train(spec_of(model), dataset, out)


def test_one_worker_and_two_give_the_same_loss_curve(
    two_workers: tuple[Path, list[float]], model: Path, dataset: Path, tmp_path: Path, here: None
) -> None:
    """One that holds every weight, too."""
    spec = spec_of(model, resources={"workers": 1}, train__strategy={"kind": "plain"})
    assert train(spec, dataset, tmp_path / "out") == pytest.approx(two_workers[1], rel=TOLERANCE)
    assert_left_alike(tmp_path / "out", two_workers[0])


def assert_left_alike(out: Path, whole: Path) -> None:
    """Two runs left the same adapter, and saw the same vitals."""
    last = Path("checkpoints") / "step-000024" / "adapter_model.safetensors"
    found, wanted = load_file(out / last), load_file(whole / last)
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=1e-4)
    mine, theirs = (
        [json.loads(line) for line in (folder / "vitals.jsonl").read_text().splitlines()]
        for folder in (out, whole)
    )
    for name in ("weight_norm_ratio", "update_ratio", "grad_norm", "grad_sparsity"):
        assert [v[name] for v in mine] == pytest.approx([v[name] for v in theirs], rel=1e-3)


def test_what_training_leaves_is_complete(two_workers: tuple[Path, list[float]]) -> None:
    out, losses = two_workers
    steps = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert steps == [f"step-{step:06d}" for step in range(4, 25, 4)]
    for step in steps:
        files = sorted(path.name for path in (out / "checkpoints" / step).iterdir())
        assert files == ["adapter_config.json", "adapter_model.safetensors"]
    assert sorted(path.name for path in out.iterdir()) == [
        *("attempts", "checkpoints", "diagnoses.jsonl", "history.jsonl", "ray", "vitals.jsonl")
    ]
    assert len(losses) == 24
    vitals = [json.loads(line) for line in (out / "vitals.jsonl").read_text().splitlines()]
    assert sorted({record["step"] for record in vitals}) == [1, 4, 8, 12, 16, 20, 24]
    assert len(vitals) == 7 * 14
    assert vitals[-1]["weight_norm_ratio"] > vitals[0]["weight_norm_ratio"] == 0.0
    # At the first step B is zero, so A's half of the gradient is, too.
    assert all(record["grad_sparsity"] > 0.3 for record in vitals if record["step"] == 1)


def test_a_killed_worker_changes_no_bit_of_the_adapter(
    two_workers: tuple[Path, list[float]], model: Path, dataset: Path, tmp_path: Path
) -> None:
    spec = spec_of(model)
    out = tmp_path / "out"
    with killing("RayTrainWorker", out) as killed:
        losses = train(spec, dataset, out)
    assert killed
    assert losses == two_workers[1]
    assert digest(out, 24) == digest(two_workers[0], 24)


def test_a_killed_stage_of_a_pipeline_leaves_the_adapter_of_a_run_without(
    two_workers: tuple[Path, list[float]], model: Path, dataset: Path, tmp_path: Path
) -> None:
    """That a pipeline resumes bit for bit is in `test_pipeline.py`."""
    out = tmp_path / "out"
    with killing("RayTrainWorker", out) as killed:
        losses = train(spec_of(model, train__strategy={"kind": "pipeline"}), dataset, out)
    assert killed
    assert losses == pytest.approx(two_workers[1], rel=TOLERANCE)
    assert_left_alike(out, two_workers[0])


def test_a_killed_controller_ends_the_run_and_the_next_attempt_goes_on(
    two_workers: tuple[Path, list[float]], model: Path, dataset: Path, tmp_path: Path
) -> None:
    spec = spec_of(model)
    out = tmp_path / "out"
    with (
        killing("TrainController", out) as killed,
        pytest.raises(TrainingError, match="apply again to resume from the last checkpoint"),
    ):
        train(spec, dataset, out)
    assert killed
    lines: list[str] = []
    assert train(spec, dataset, out, lines, attempt=2) == two_workers[1]
    assert lines[0].startswith("resuming from step ")
    assert lines[1] == "starting 2 workers"
    (loaded,) = [line for line in lines if line.startswith("the base is loaded; next is step ")]
    assert loaded.endswith(" of 24")
    assert digest(out, 24) == digest(two_workers[0], 24)


def test_a_driver_that_was_taken_over_leaves_everything_to_its_successor(
    model: Path, dataset: Path, tmp_path: Path, here: None
) -> None:
    """It stood still for so long that its lease ran out, and its workers went on without it."""
    from loray.train.run import train_to

    def lost() -> None:
        raise LeaseError("attempt 1 has lost its lease")

    spec = make_spec(model, train__batch=BATCH)
    whole, out, lines = tmp_path / "whole", tmp_path / "out", []
    losses = train(spec, dataset, whole)
    out.mkdir()
    with pytest.raises(LeaseError):
        train_to(out, spec, f"{dataset}/tokens", attempt=1, check=lost)
    assert sorted(path.name for path in out.iterdir()) == ["attempts", "ray"]
    assert train(spec, dataset, out, lines, attempt=2) == losses
    assert lines[0] == "resuming from step 8 of 8"
    assert digest(out, 8) == digest(whole, 8)
    (out / "checkpoints" / "step-000003").mkdir()
    assert train(spec, dataset, out, attempt=3) == losses  # as when the commit was cut off
    assert not (out / "checkpoints" / "step-000003").exists()


PISSA: dict[str, Any] = {
    "base_model__quantization": "none",
    "method__init": "pissa",
    "train__strategy": {"kind": "fsdp"},
}
EVA: dict[str, Any] = {
    "method": {
        "kind": "lora",
        "rank": 4,
        "init": "eva",
        "biases": "all",
        "modules_to_save": ("embed_tokens", "lm_head"),
    },
}


@pytest.mark.parametrize("changes", [PISSA, EVA], ids=["PiSSA", "EVA, beside the factors"])
def test_a_run_that_begins_elsewhere_goes_on_as_if_nothing_had_been(
    biased: Path, dataset: Path, tmp_path: Path, here: None, changes: dict[str, Any]
) -> None:
    """What it began with, and over what rest of the base, must not be worked out anew."""
    spec = make_spec(biased, train__batch=BATCH, **changes)
    whole, out, lines = tmp_path / "whole", tmp_path / "out", []
    losses = train(spec, dataset, whole)
    wanted = digest(whole, 8)
    shutil.copytree(whole / "attempts", out / "attempts")
    shutil.rmtree(out / "attempts" / "attempt-0001" / "step-000008")
    assert train(spec, dataset, out, lines, attempt=2) == losses
    assert lines[0] == "resuming from step 4 of 8"
    assert digest(out, 8) == wanted
    saved = load_file(out / "checkpoints" / "step-000008" / "adapter_model.safetensors")
    assert sum("lora_" not in name for name in saved) == (0 if changes is PISSA else 6 + 2)


@contextmanager
def killing(actor: str, out: Path) -> Iterator[list[int]]:
    """Kill an actor of a class once the first checkpoint is there; gives what was killed."""
    import ray.util.state

    killed: list[int] = []

    def kill_one() -> None:
        while not (out / "attempts" / "attempt-0001" / "step-000004" / "COMMIT.json").exists():
            time.sleep(0.01)
        actors = ray.util.state.list_actors(
            ray.get_runtime_context().gcs_address,  # other tests may have a cluster of their own
            filters=[("class_name", "=", actor), ("state", "=", "ALIVE")],
        )
        killed.append(actors[0].pid)
        os.kill(actors[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill_one)
    thread.start()
    try:
        yield killed
    finally:
        thread.join()
        if actor == "TrainController":
            free_what_it_held()


def free_what_it_held() -> None:
    """Give back the CPUs of a killed controller's workers.

    Ray Train's own cleaner does it, but finds no cluster where several run on one machine, as here.
    """
    import ray.util
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup

    for name, group in ray.util.placement_group_table().items():
        if group["state"] != "REMOVED":
            ray.util.remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(name)))
