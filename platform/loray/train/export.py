"""How a step's numbers leave the training: gauges on Ray's metrics endpoint, and trackers."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import PendingCallsLimitExceeded, RayActorError
from ray.util.metrics import Gauge
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from loray.artifacts.diagnosis import Diagnosis, diagnosis_of
from loray.spec.tracking import TrackingSpec
from loray.train.metrics import MEANINGS
from loray.train.task import WorkerTask
from loray.train.trackers import TrackedRun, Trackers, switched_off

FINISH_SECONDS = 60.0
"""How long trackers may take for what they have not told yet, once the training is over.

Those that were silent before it ended, with a step to tell, have so much less.
"""
LEAST_SECONDS = 5.0
"""What all of them have."""
SAID_SECONDS = 1.0
"""It is said that they are waited for when it takes longer than this."""
MAX_WAITING = 10_000
"""Steps that may wait for trackers; those beyond are not told."""


class Exporter:
    """What worker 0 tells the outside after each step; never waits.

    The gauges are `loray_train_step` and `loray_train_<metric>`, tagged with the run's name.
    """

    def __init__(self, run: str, trackers: Any | None) -> None:  # noqa: ANN401 (an actor's handle)
        self._trackers = trackers
        self._tags = {"run": run}
        self._gauges: dict[str, Gauge] = {}

    def tell(self, step: int, metrics: Mapping[str, float]) -> None:
        """Set the gauges, and pass the metrics on."""
        self._gauge("step", "Optimizer steps done.").set(step, tags=self._tags)
        for name, value in metrics.items():
            self._gauge(name, MEANINGS[name]).set(value, tags=self._tags)
        if self._trackers is not None:
            with contextlib.suppress(PendingCallsLimitExceeded):
                self._trackers.log.remote(step, dict(metrics))

    def _gauge(self, name: str, meaning: str) -> Gauge:
        if name not in self._gauges:
            self._gauges[name] = Gauge(
                f"loray_train_{name.replace('/', '_')}", description=meaning, tag_keys=("run",)
            )
        return self._gauges[name]


class TrackerActor:
    """Trackers in a process of their own: what they do to it, they do to nothing else."""

    def __init__(self, spec: TrackingSpec, folder: str, progress: Any) -> None:  # noqa: ANN401
        os.chdir(folder)
        self._progress = progress
        self._trackers = Trackers(
            spec, tell=lambda found: ray.get(progress.diagnose.remote(found.record()))
        )

    def start(self, run: TrackedRun) -> None:
        """Start the trackers."""
        self._trackers.start(run)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Tell them a step."""
        self._trackers.log(step, metrics)
        self._progress.answer.remote(step)

    def finish(self) -> None:
        """Finish them; also waits for all steps to be told."""
        self._trackers.finish()


@contextmanager
def tracked(
    task: WorkerTask, *, run_id: str, steps_done: int, report: Callable[[str], None]
) -> Iterator[WorkerTask]:
    """The task with the actor that worker 0 is to tell its steps to, while the body runs.

    Without an actor, where the spec asks for no tracker.

    Args:
        run_id: the name and fingerprint of the training.
        steps_done: by earlier attempts.
        report: hears when the trackers are waited for.
    """
    spec = task.spec
    if not spec.tracking.is_asked_for:
        yield task
        return
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    made: Any = ray.remote(TrackerActor).options(
        num_cpus=0, max_pending_calls=MAX_WAITING, scheduling_strategy=here
    )
    trackers = made.remote(spec.tracking, task.working_folder, task.progress)
    trackers.start.remote(
        TrackedRun(
            id=run_id,
            name=spec.name,
            steps=spec.train.steps,
            steps_done=steps_done,
            spec=spec.model_dump(mode="json"),
        )
    )
    try:
        yield replace(task, trackers=trackers)
    except KeyboardInterrupt:  # whoever interrupts does not wait
        ray.wait([trackers.finish.remote()], timeout=SAID_SECONDS)
        raise
    except BaseException:
        _finish(trackers, task.progress, report)
        raise
    _finish(trackers, task.progress, report)


def _finish(
    trackers: Any,  # noqa: ANN401
    progress: Any,  # noqa: ANN401
    report: Callable[[str], None],
) -> None:
    """Wait for the trackers, but not for ever."""
    began, finished = time.monotonic(), trackers.finish.remote()
    try:
        if not _is_done(finished, SAID_SECONDS):
            report(_waited_for(progress))
        while not _is_done(finished, SAID_SECONDS):
            waited = time.monotonic() - began
            step, silent = ray.get(progress.trackers.remote())
            if waited > LEAST_SECONDS and max(waited, silent) > FINISH_SECONDS:
                seen = (
                    f"the trackers had been told step {step} and were not done {waited:.0f} s "
                    "after the training"
                )
                break
        else:
            ray.get(finished)
            return
    except RayActorError as error:
        seen = f"the trackers' process ended: {str(error).splitlines()[0]}"
    ray.kill(trackers)
    latest: Any = ray.get(progress.latest.remote())
    found = switched_off(0 if latest is None else latest[0], seen)
    ray.get(progress.diagnose.remote(found.record()))


def _is_done(finished: Any, seconds: float) -> bool:  # noqa: ANN401
    return bool(ray.wait([finished], timeout=seconds)[0])


def _waited_for(progress: Any) -> str:  # noqa: ANN401
    """That the trackers are waited for, how far they are, and for how long at most."""
    step, silent = ray.get(progress.trackers.remote())
    latest = ray.get(progress.latest.remote())
    most = max(FINISH_SECONDS - silent, LEAST_SECONDS)
    return (
        f"training is over; waiting for the trackers, which were told step {step} of "
        f"{0 if latest is None else latest[0]}: at most {FINISH_SECONDS:.0f} s, and {most:.0f} s "
        "if they say nothing"
    )


def trackers_told(progress: Any) -> list[Diagnosis]:  # noqa: ANN401
    """What was diagnosed of trackers."""
    found = map(diagnosis_of, ray.get(progress.diagnoses.remote()))
    return [one for one in found if one.kind == "tracker"]
