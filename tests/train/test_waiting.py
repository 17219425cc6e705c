"""Workers that never start, and errors that no other try would mend."""

import shutil
import time
from pathlib import Path

import pytest
import ray
from safetensors.torch import load_file, save_file

from loray.errors import ClusterError, TrainingError
from loray.train import follow
from tests.train.sequences import make_rows, make_spec, write_tokens

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


def test_workers_that_never_start_are_waited_for_aloud_and_not_for_ever(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loray.train.run import train_to

    monkeypatch.setattr(follow, "TELL_SECONDS", 4.0)
    write_tokens(tmp_path, make_rows(8))
    resources = {"workers": 2, "gpus_per_worker": 1, "start_seconds": 10}
    spec = make_spec(model, resources=resources)
    said: list[str] = []
    began = time.monotonic()
    with pytest.raises(ClusterError) as told:
        train_to(tmp_path / "out", spec, f"{tmp_path}/tokens", attempt=1, report=said.append)
    assert time.monotonic() - began < 60
    assert said[0] == "starting 2 workers"
    assert said[1].startswith("waiting for ")
    assert "for 2 workers, each of 1 CPU and 1 GPU, to start" in said[1]
    text = str(told.value)
    assert text.startswith("found no room for 10 s; wanted 2 workers, each of 1 CPU and 1 GPU")
    assert "the cluster has 4 CPUs and 0 GPUs on 1 node;" in text
    assert "raise resources.start_seconds" in text


def test_a_run_that_lost_its_workers_for_good_says_so_and_is_ended(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller's own words, as it says them when a node dies; see `test_elastic.py`."""
    from loray.train.progress import start_progress

    monkeypatch.setattr(follow, "PROGRESS_SECONDS", 0.2)
    monkeypatch.setattr(follow, "TELL_SECONDS", 1.0)
    progress, said = start_progress(), []
    wanted = {"workers": 8, "start_seconds": 4}
    resources = make_spec(
        model, resources=wanted, train__batch={"global_size": 8, "micro_size": 1}
    ).resources
    with follow.followed(progress, steps=9, resources=resources, report=said.append) as followed:
        time.sleep(1.0)
        ray.get(progress.enter.remote(is_running=True, why=""))
        time.sleep(5.0)
        assert followed.given_up is None, "it ran, and for longer than workers may take to start"
        ray.get(progress.enter.remote(is_running=False, why="worker 1: the node died"))
        time.sleep(2.5)
        assert followed.given_up is None
        time.sleep(3.0)
    restart = "restart 1 of at most 3, from the last checkpoint: worker 1: the node died"
    assert said.index("the workers have started; they load the base and put the adapter on") < (
        said.index(restart)
    )
    assert any("for 8 workers, each of 1 CPU and 0 GPUs, to start; the" in line for line in said)
    assert followed.given_up is not None
    assert followed.given_up.startswith("found no room for 4 s; wanted 8 workers, each of 1 CPU")


def test_workers_that_have_room_and_are_slow_to_start_are_not_said_to_lack_it(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.util import placement_group, remove_placement_group

    from loray.train.progress import start_progress

    monkeypatch.setattr(follow, "PROGRESS_SECONDS", 0.2)
    monkeypatch.setattr(follow, "TELL_SECONDS", 0.5)
    progress, said = start_progress(), []
    resources = make_spec(model, resources={"workers": 2, "start_seconds": 2}).resources
    with follow.followed(progress, steps=9, resources=resources, report=said.append) as followed:
        group = placement_group([{"CPU": 1.0}] * 2)
        assert group.wait(10)
        time.sleep(4.0)
    remove_placement_group(group)
    assert any("to start; they have room and are starting; giving up" in line for line in said)
    assert followed.given_up is not None
    assert followed.given_up.startswith(
        "found room for 2 workers, each of 1 CPU and 0 GPUs, which did not start in 2 s; end"
    )


def test_weights_of_another_shape_end_the_run_at_once_with_the_cause(
    model: Path, tmp_path: Path
) -> None:
    from loray.train.run import train_to

    cut = tmp_path / "model"
    shutil.copytree(model, cut)
    tensors = load_file(cut / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors[name] = tensors[name][:-8].clone()
    save_file(tensors, cut / "model.safetensors", metadata={"format": "pt"})
    write_tokens(tmp_path, make_rows(8))
    said: list[str] = []
    with pytest.raises(TrainingError, match=r"has the shape \(56, 64\); wanted \(64, 64\)") as told:
        train_to(
            tmp_path / "out", make_spec(cut), f"{tmp_path}/tokens", attempt=1, report=said.append
        )
    assert "Output truncated" not in str(told.value)
    assert not any(line.startswith("restart") for line in said)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and ray.available_resources().get("CPU") != 4.0:
        time.sleep(0.2)
    assert ray.available_resources()["CPU"] == 4.0, "nothing of it is left in the cluster"


def test_a_dataset_without_a_row_is_refused(model: Path, tmp_path: Path, here: None) -> None:
    from loray.train.run import train_to

    write_tokens(tmp_path, [])
    with pytest.raises(TrainingError, match="holds no training sequence; look into the quaran"):
        train_to(tmp_path / "out", make_spec(model), f"{tmp_path}/tokens", attempt=1)


def test_a_damaged_checkpoint_costs_some_steps_and_no_result(
    model: Path, tmp_path: Path, here: None
) -> None:
    from loray.train.run import train_to

    def train(attempt: int) -> tuple[bytes, list[str]]:
        said: list[str] = []
        found = train_to(
            out, make_spec(model), f"{tmp_path}/tokens", attempt=attempt, report=said.append
        )
        assert found["steps"] == 8
        return (out / "checkpoints/step-000008/adapter_model.safetensors").read_bytes(), said

    write_tokens(tmp_path, make_rows(8))
    out = tmp_path / "out"
    whole, _ = train(attempt=1)
    (out / "attempts/attempt-0001/step-000008/state.safetensors").write_bytes(b"")
    again, said = train(attempt=2)
    assert again == whole
    (told,) = [line for line in said if "damaged" in line]
    assert told.startswith("step 4: damaged checkpoint: the checkpoint of step 8 is damaged")
    assert told.endswith("; went on from step 4")
