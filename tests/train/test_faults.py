"""Planted faults: each is found, named, and survived."""

import hashlib
import json
import math
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from loray.artifacts.diagnosis import Diagnosis, from_lines
from loray.artifacts.tokens import TokenParts
from loray.errors import TrainingError
from loray.spec.run import RunSpec
from tests.train.sequences import Row, ended, make_rows, make_spec, write_tokens

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
END = 7
POISONED_STEP = 60
"""A step of the data, from 0."""


def train(spec: RunSpec, dataset: Path, out: Path) -> tuple[list[float], list[Diagnosis], dict]:
    """The losses of the steps that counted, what was diagnosed, and the statistics."""
    from loray.train.run import train_to

    out.mkdir()
    found = train_to(out, spec, f"{dataset}/tokens", attempt=1, report=lambda line: None)
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in history] == list(range(1, spec.train.steps + 1))
    diagnoses = from_lines((out / "diagnoses.jsonl").read_text())
    return [line["loss"] for line in history], diagnoses, found


def spec_of(model: Path, **changes: object) -> RunSpec:
    """A run that learns quickly and well, so that what is odd stands out."""
    settings = {
        "base_model__quantization": "none",
        "method": {"kind": "full"},
        "train__strategy": {"kind": "plain"},
        "train__batch": {"global_size": 8, "micro_size": 4},
        "train__optimizer": {"learning_rate": 1e-2},
    }
    return make_spec(model, **{**settings, **changes})


def test_a_learning_rate_that_is_far_too_high_is_found_and_lowered(
    model: Path, tmp_path: Path, here: None
) -> None:
    write_tokens(tmp_path, make_rows(64))
    spec = spec_of(
        model,
        train__steps=40,
        train__optimizer={"learning_rate": 1.0},
        train__schedule={"kind": "constant", "warmup_steps": 0},
        train__checkpoint_every=5,
    )
    losses, diagnoses, found = train(spec, tmp_path, tmp_path / "out")
    first = next(d for d in diagnoses if d.kind != "row_faults")  # made rows are few, some twice
    assert first.kind in {"divergence", "not_finite"}
    assert first.step < 20
    assert "learning rate times 0.1" in first.done
    assert 1 <= found["restarts"] <= 2
    assert losses[-1] < losses[0]
    assert all(map(math.isfinite, losses))


def test_a_run_that_gives_up_leaves_what_it_saw(model: Path, tmp_path: Path, here: None) -> None:
    write_tokens(tmp_path, make_rows(64))
    spec = spec_of(
        model,
        train__optimizer={"learning_rate": 1.0},
        train__schedule={"kind": "constant", "warmup_steps": 0},
        train__guard={"max_restarts": 0},
    )
    with pytest.raises(TrainingError, match=r"divergence|not finite"):
        train(spec, tmp_path, tmp_path / "out")
    left = from_lines((tmp_path / "out" / "diagnoses.jsonl").read_text())
    assert left[-1].kind == "failed"
    assert "learning_rate" in left[-1].seen


@pytest.fixture(scope="module")
def poisoned(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, Path, set]:
    """A dataset of which one step's sequences are noise, and a third never ends.

    Each worker holds a share of the model only, so all must look for the rows together.
    """
    from loray.train.batches import BatchSizes, numbers_of_step

    folder = tmp_path_factory.mktemp("poisoned")
    spec = spec_of(
        model,
        resources={"workers": 2},
        train__strategy={"kind": "fsdp"},
        train__steps=72,
        train__optimizer={"learning_rate": 2e-2},
        train__checkpoint_every=8,
        train__guard={"watched_steps": 10},
    )
    rows = ended(make_rows(400), END)
    tokens = TokenParts(write_tokens(folder, rows))
    sizes = BatchSizes(8, 4, workers=2)
    numbers = numbers_of_step(tokens, POISONED_STEP, seed=spec.seed, sizes=sizes)
    draw = np.random.default_rng(0)
    for number in numbers:
        poison(rows[number], draw)
    for row in rows[::3]:
        row["input_ids"][-1] = row["labels"][-1] = row["input_ids"][0]
    write_tokens(folder, rows)
    return spec, folder, {f"{number:016x}" for number in numbers}


def poison(row: Row, draw: np.random.Generator) -> None:
    ids = draw.integers(20, 250, len(row["input_ids"])).tolist()
    row |= {"input_ids": ids, "labels": [-100, -100, *ids[2:-1], END]}


@pytest.fixture(scope="module")
def undisturbed(poisoned, tmp_path_factory):
    spec, dataset, _ = poisoned
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return out, *train(spec, dataset, out)


def test_a_poisoned_batch_is_passed_over_and_its_rows_are_named(poisoned, undisturbed) -> None:
    _, _, numbers = poisoned
    _, losses, diagnoses, found = undisturbed
    spike = next(d for d in diagnoses if d.kind == "spike")
    assert spike.step == POISONED_STEP + 1
    assert "went back to step 56" in spike.done
    assert {row.id for row in spike.rows} & numbers
    assert found["rollbacks"] == 1
    assert max(losses[50:]) < 2 * float(np.median(losses[50:]))


def test_answers_that_never_end_are_told_before_training(undisturbed) -> None:
    faults = undisturbed[2][0]
    assert (faults.kind, faults.step) == ("row_faults", 0)
    assert "does not end with an end token" in faults.seen


def test_a_worker_that_is_killed_after_the_run_was_set_back_changes_no_bit(
    poisoned, undisturbed, tmp_path: Path
) -> None:
    import ray.util.state

    spec, dataset, _ = poisoned
    out, killed = tmp_path / "out", []

    def kill_one() -> None:
        # Step 64 is only committed once the run was set back, from step 61 to step 56.
        while not (out / "attempts" / "attempt-0001" / "step-000064" / "COMMIT.json").exists():
            time.sleep(0.01)
        actors = ray.util.state.list_actors(
            ray.get_runtime_context().gcs_address,
            filters=[("class_name", "=", "RayTrainWorker"), ("state", "=", "ALIVE")],
        )
        killed.append(actors[0].pid)
        os.kill(actors[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill_one)
    thread.start()
    losses, diagnoses, _ = train(spec, dataset, out)
    thread.join()
    assert killed
    assert losses == undisturbed[1]
    assert diagnoses == undisturbed[2]
    assert weights(out) == weights(undisturbed[0])


def weights(out: Path) -> str:
    file = out / "checkpoints" / "step-000072" / "model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_module_that_no_gradient_reaches_is_named(
    model: Path, tmp_path: Path, here: None
) -> None:
    """Behind it the base multiplies with zero, so nothing that it learns could be seen."""
    cut = tmp_path / "model"
    shutil.copytree(model, cut)
    tensors = load_file(cut / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"].zero_()
    save_file(tensors, cut / "model.safetensors", metadata={"format": "pt"})
    write_tokens(tmp_path, make_rows(64))
    targets = ("q_proj", "gate_proj")
    spec = spec_of(cut, method={"kind": "lora", "rank": 4, "targets": targets}, train__steps=4)
    _, diagnoses, _ = train(spec, tmp_path, tmp_path / "out")
    (dead,) = [d for d in diagnoses if d.kind == "dead_modules"]
    assert "1 of 4 adapted modules (model.layers.1.mlp.gate_proj)" in dead.seen
    assert "leave them out of method.targets" in dead.done


def test_rows_whose_labels_are_masked_out_are_told_before_training(
    model: Path, tmp_path: Path, here: None
) -> None:
    rows = make_rows(64)
    for row in rows[::4]:
        row["labels"] = [-100] * len(row["labels"])
    write_tokens(tmp_path, rows)
    _, diagnoses, _ = train(spec_of(model, train__steps=4), tmp_path, tmp_path / "out")
    assert (diagnoses[0].kind, diagnoses[0].step) == ("row_faults", 0)
    assert "nothing in it is learned (16)" in diagnoses[0].seen


def test_what_is_out_of_memory_twice_at_a_step_ends_the_run(model: Path, tmp_path: Path) -> None:
    """A mask of a million tokens by a million, 1 TB, which Linux does not even promise."""
    row = {
        "input_ids": [40] * 1_000_000,
        "labels": [40] * 1_000_000,
        "positions": [*range(500_000)] * 2,
        "row_ids": ["0" * 16, "1" * 16],
    }
    write_tokens(tmp_path, [row])
    spec = spec_of(model, train__batch={"global_size": 1, "micro_size": 1})
    with pytest.raises(
        TrainingError, match=r"out of memory twice after step 0: .*allocate"
    ) as told:
        train(spec, tmp_path, tmp_path / "out")
    assert "`loray plan SPEC` says what takes how much" in str(told.value)
