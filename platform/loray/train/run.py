"""The driver's side of training: start the workers, follow them, collect what they made."""

import json
import logging
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.train import FailureConfig, RunConfig
from ray.train.torch import TorchConfig
from ray.train.v2.api.config import ScalingConfig  # what ray.train gives, but with its types

from loray.artifacts.diagnosis import DIAGNOSES_NAME, Diagnosis, diagnosis_of, to_lines
from loray.errors import ClusterError, TrainingError
from loray.spec.run import RunSpec
from loray.train.checkpoint import (
    GUARD_NAME,
    STATE_NAME,
    Checkpoint,
    CheckpointStore,
    DamagedCheckpointError,
)
from loray.train.controller import ToldController, Trainer, cause_of
from loray.train.export import tracked, trackers_told
from loray.train.findings import findings
from loray.train.follow import Followed, followed
from loray.train.guard import GuardState
from loray.train.journal import HISTORY_NAME, VITALS_NAME, summarize
from loray.train.places import with_places
from loray.train.progress import start_progress
from loray.train.rates import RateCurve, RateRange
from loray.train.task import WorkerTask, train_worker

POLL_SECONDS = "0.25"
"""How often Ray Train's controller asks its workers; 2 s when not given. A worker waits at a
checkpoint until the one before was heard of, and a run ends only when it is asked."""
START_SECONDS = "10"
"""How long an elastic run waits for workers, whose node may be gone, before it counts anew."""
log = logging.getLogger(__name__)


def train_to(
    out: Path,
    spec: RunSpec,
    tokens: str,
    *,
    attempt: int,
    check: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = log.info,
) -> dict[str, Any]:
    """Train and leave `checkpoints/`, `{history,vitals,diagnoses}.jsonl` under `out`.

    `out/attempts` holds what was committed on the way, and earlier; a run continues from there, one
    that is done too, so it may go only once what it led to is safe. `out/ray` is Ray's own.

    Args:
        tokens: the dataset's `tokens`, a local folder or a URI that every worker reaches.
        check: raises where another driver has taken the run over; called before anything that
            it may have written is replaced.

    Raises:
        ClusterError: the workers did not start, or start again, within `resources.start_seconds`.
        TrainingError: the run ended with an error that another try would only repeat, or more
            workers died than `resources.max_failures` allows.
    """
    store = CheckpointStore(str(out / "attempts"))
    resumed_from = max((c.step for c in store.committed()), default=0)
    if resumed_from:
        report(f"resuming from step {resumed_from} of {spec.train.steps}")
    progress = start_progress()
    task = WorkerTask(
        spec=spec,
        tokens=tokens,
        checkpoints=store.uri,
        attempt=attempt,
        working_folder=str(Path.cwd()),
        progress=progress,
    )
    with (
        followed(
            progress, steps=spec.train.steps, resources=spec.resources, report=report
        ) as following,
        tracked(task, run_id=out.name, steps_done=resumed_from, report=report) as tracked_task,
    ):
        stopped = run_workers(tracked_task, storage=out / "ray")
    check()
    refuse_late(following)
    failure: Any = ray.get(progress.failure.remote()) or stopped
    if failure is not None:
        write_failure(out, progress, failure, dataset=tokens.removesuffix("/tokens"))
        raise TrainingError(failure)
    checkpoints = store.committed()
    if not checkpoints or checkpoints[-1].step != spec.train.steps:
        raise TrainingError(
            f"the workers ended without the checkpoint of step {spec.train.steps}; "
            "apply again to resume from the last one"
        )
    found = collect(
        store,
        checkpoints,
        out,
        dataset=tokens.removesuffix("/tokens"),
        of_trackers=trackers_told(progress),
    )
    return {**found, "resumed_from_step": resumed_from, "attempt": attempt}


def write_failure(out: Path, progress: Any, failure: str, *, dataset: str) -> None:  # noqa: ANN401
    """Leave what was diagnosed, and the error that ended the run, for `loray doctor run`.

    Where the disk has no room for it, the error is what counts, and its caller raises it.
    """
    found = [diagnosis_of(record) for record in ray.get(progress.diagnoses.remote())]
    latest = ray.get(progress.latest.remote())
    done = "the run ended; apply again once its cause is mended"
    found.append(Diagnosis("failed", 0 if latest is None else latest[0], failure, done))
    path = out / DIAGNOSES_NAME
    try:
        path.write_text(to_lines(with_places(found, dataset)), encoding="utf-8")
    except OSError as error:
        path.unlink(missing_ok=True)
        log.warning("the diagnoses were not kept: %s", error)


def find_rates(
    work: Path, spec: RunSpec, tokens: str, rates: RateRange, *, report: Callable[[str], None]
) -> RateCurve:
    """Try learning rates on the workers; nothing is left but the curve.

    Args:
        work: a folder for what Ray Train writes, deleted afterwards.

    Raises:
        ClusterError: the workers did not start within `resources.start_seconds`.
        TrainingError: a worker met an error.
    """
    progress = start_progress()
    task = WorkerTask(
        spec=spec,
        tokens=tokens,
        checkpoints=str(work / "attempts"),
        attempt=1,
        working_folder=str(Path.cwd()),
        progress=progress,
        rates=rates,
    )
    try:
        with followed(
            progress, steps=rates.steps, resources=spec.resources, report=report
        ) as following:
            stopped = run_workers(task, storage=work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    refuse_late(following)
    failure: Any = ray.get(progress.failure.remote()) or stopped
    if failure is not None:
        raise TrainingError(failure)
    tried: Any = ray.get(progress.tried.remote())
    return RateCurve(tuple(rate for rate, _ in tried), tuple(loss for _, loss in tried))


def refuse_late(following: Followed) -> None:
    """Refuse a run whose workers did not start in time.

    Raises:
        ClusterError: they did not; the message says what was wanted and what there is.
    """
    if following.given_up is not None:
        raise ClusterError(following.given_up)


def run_workers(task: WorkerTask, *, storage: Path) -> str | None:
    """Run `train_worker` on every Ray Train worker until all of them are done.

    Where fewer may do, Ray begins with those that the cluster has room for, begins anew with fewer
    when a node dies, and with more when there are more; each time from the last checkpoint.

    Returns:
        what stopped the run, where Ray gave up on it; a worker's own words are with the progress.
    """
    resources = task.spec.resources
    workers, is_run = resources.workers, task.rates is None
    # Ray reads these here, and has no arguments for them.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_SECONDS)
    if resources.min_workers is not None:
        os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", START_SECONDS)
    trainer = Trainer(
        train_worker,
        train_loop_config={"task": task},
        scaling_config=ScalingConfig(
            num_workers=(
                workers if resources.min_workers is None else (resources.min_workers, workers)
            ),
            # Trying learning rates is short, and would begin from the first of them.
            elastic_resize_monitor_interval_s=resources.resize_seconds if is_run else math.inf,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker={
                "CPU": resources.cpus_per_worker,
                **({"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {}),
            },
        ),
        torch_config=TorchConfig(backend="nccl" if resources.gpus_per_worker else "gloo"),
        run_config=RunConfig(
            # A name of its own for every attempt: Ray never resumes by itself, our commit marks
            # decide where to continue, and a torn snapshot of Ray's cannot wedge the run.
            name=f"attempt-{task.attempt:04d}",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=resources.max_failures),
            callbacks=[ToldController(task.progress)],  # type: ignore[list-item]  # Ray takes it
        ),
    )
    try:
        trainer.fit()
    except (ray.train.TrainingFailedError, RayActorError) as error:
        return (
            f"training stopped: {cause_of(error)}; apply again to resume from the last checkpoint"
        )
    return None


def fetch_sound(store: CheckpointStore, checkpoint: Checkpoint, folder: Path) -> None:
    """Fetch a checkpoint; of a damaged one the run is taken back to the one before.

    Raises:
        TrainingError: it is damaged.
    """
    try:
        store.fetch(checkpoint, folder)
    except (DamagedCheckpointError, FileNotFoundError) as error:
        later = [each for each in store.committed() if each.step >= checkpoint.step]
        for each in reversed(later):
            store.discard(each)
        raise TrainingError(
            f"the checkpoint of step {checkpoint.step} is damaged ({error}); it and those after it "
            "were taken back; apply again to train on from the one before"
        ) from error


def collect(
    store: CheckpointStore,
    checkpoints: list[Checkpoint],
    out: Path,
    *,
    dataset: str,
    of_trackers: list[Diagnosis],
) -> dict[str, Any]:
    """Bring checkpoints, journal and diagnoses together under `out`; returns their statistics.

    Args:
        of_trackers: diagnoses of trackers that failed, which no checkpoint holds.
    """
    history: list[str] = []
    vitals: list[str] = []
    guard = GuardState()
    shutil.rmtree(out / "checkpoints", ignore_errors=True)  # of a try that was cut off here
    for checkpoint in checkpoints:
        folder = out / "checkpoints" / f"step-{checkpoint.step:06d}"
        fetch_sound(store, checkpoint, folder)
        history += (folder / HISTORY_NAME).read_text(encoding="utf-8").splitlines(keepends=True)
        vitals += (folder / VITALS_NAME).read_text(encoding="utf-8").splitlines(keepends=True)
        guard = GuardState.from_json((folder / GUARD_NAME).read_text(encoding="utf-8"))
        for name in (HISTORY_NAME, VITALS_NAME, STATE_NAME, GUARD_NAME):
            (folder / name).unlink()
    (out / HISTORY_NAME).write_text("".join(history), encoding="utf-8")
    (out / VITALS_NAME).write_text("".join(vitals), encoding="utf-8")
    late = findings([json.loads(line)["loss"] for line in history], list(map(json.loads, vitals)))
    early = [found for found in guard.diagnoses if found.kind != "dead_modules"]  # `late` knows
    diagnoses = with_places([*early, *late, *of_trackers], dataset)
    (out / DIAGNOSES_NAME).write_text(to_lines(diagnoses), encoding="utf-8")
    return {
        **summarize(history),
        "restarts": guard.restarts,
        "rollbacks": guard.rollbacks,
        "diagnoses": [str(found) for found in diagnoses],
    }
