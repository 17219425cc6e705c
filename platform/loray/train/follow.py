"""The driver follows a run: it passes on what is new, and ends a run that cannot go on."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from loray.artifacts.diagnosis import diagnosis_of
from loray.machines.passing import Passing, Report
from loray.machines.room import (
    TELL_SECONDS,
    counted,
    given_up_words,
    groups_placed,
    waiting_words,
    workers_wanted,
)
from loray.spec.run import ResourceSpec
from loray.train.pace import Pace

PROGRESS_SECONDS = 2.0


@dataclass
class Followed:
    """What came of following."""

    given_up: str | None = None
    """Why the run was ended: its workers did not start in time."""


@contextmanager
def followed(
    progress: Any,  # noqa: ANN401 (an actor handle has no useful type)
    *,
    steps: int,
    resources: ResourceSpec,
    report: Report,
) -> Iterator[Followed]:
    """Report the workers' progress while the body runs.

    When the body is left by an error, a signal's too, Ray Train's controller is killed: it and its
    workers must not go on.

    Args:
        resources: how many workers are wanted; when there are others, it is said. How long they may
            take to start; then the run is ended.
    """
    done = threading.Event()
    found = Followed()
    teller = _Teller(progress, steps, resources.workers, report)
    watch = _Watch(progress, resources, report)

    def follow() -> None:
        is_over = False
        while not is_over:
            is_over = done.wait(PROGRESS_SECONDS)
            with contextlib.suppress(ray.exceptions.RayError):  # the actor goes when Ray does
                watch.tell_restarts()
                if not is_over:
                    found.given_up = found.given_up or watch.look()
                teller.tell_groups()
                teller.tell_diagnoses()
                teller.tell_step()

    some = "" if resources.min_workers is None else "up to "
    report(f"starting {some}{counted(resources.workers, 'workers')}")
    thread = threading.Thread(target=follow, name="train-progress", daemon=True)
    thread.start()
    try:
        yield found
    except BaseException:
        watch.end_run()
        raise
    finally:
        done.set()
        thread.join()


class _Watch:
    """Tells why workers start again, and ends a run that waits too long for them."""

    def __init__(
        self,
        progress: Any,  # noqa: ANN401
        resources: ResourceSpec,
        report: Report,
    ) -> None:
        self._progress = progress
        self._wanted = workers_wanted(resources)
        self._limit = resources.start_seconds
        self._most = resources.max_failures
        self._report = report
        self._began = self._told = time.monotonic()
        self._restarts = 0
        self._is_running = False
        self._groups_before = groups_placed(self._wanted)

    def tell_restarts(self) -> None:
        """Why workers begin again, where they do."""
        _, _, whys = ray.get(self._progress.control.remote(self._restarts))
        for why in whys:
            self._restarts += 1
            self._report(
                f"restart {self._restarts} of at most {self._most}, from the last checkpoint: {why}"
            )

    def look(self) -> str | None:
        """What to say when the run was ended, because it waited for too long."""
        now, is_running = time.monotonic(), ray.get(self._progress.control.remote())[1]
        if is_running and not self._is_running:
            self._report("the workers have started; they load the base and put the adapter on")
        self._is_running = is_running
        if is_running:
            self._began = self._told = now
        elif now - self._began > self._limit:
            has_room = self._has_room()
            self.end_run()
            return given_up_words(self._wanted, self._limit, has_room=has_room)
        elif now - self._told > TELL_SECONDS:
            self._told = now
            waited, has_room = now - self._began, self._has_room()
            self._report(waiting_words(self._wanted, waited, self._limit, has_room=has_room))
        return None

    def _has_room(self) -> bool:
        return bool(groups_placed(self._wanted) - self._groups_before)

    def end_run(self) -> None:
        """Kill Ray Train's controller and its workers with it.

        What it holds in the cluster is free when Ray's cleaner comes by, or the driver ends.
        """
        with contextlib.suppress(ray.exceptions.RayError):
            controller = ray.get(self._progress.control.remote(), timeout=PROGRESS_SECONDS)[0]
            if controller is not None:
                ray.kill(controller)


class _Teller:
    """Says once what is new."""

    def __init__(
        self,
        progress: Any,  # noqa: ANN401
        steps: int,
        workers: int,
        report: Report,
    ) -> None:
        self._progress = progress
        self._report = report
        self._steps = steps
        self._wanted = self._workers = workers
        self._seen = self._told = self._groups = 0
        self._pace = Pace(steps)

    def tell_groups(self) -> None:
        """How many workers there are, where that changed."""
        for workers, step in ray.get(self._progress.groups.remote(self._groups)):
            self._groups += 1
            if workers != self._workers:
                self._report(f"{workers} of {self._wanted} workers, from step {step}")
            self._workers = workers
            what = "the loss before training is taken, then" if step == 0 else "next is"
            self._report(f"the base is loaded; {what} step {step + 1} of {self._steps}")

    def tell_diagnoses(self) -> None:
        """What was diagnosed."""
        for record in ray.get(self._progress.diagnoses.remote(self._told)):
            self._report(str(diagnosis_of(record)))
            self._told += 1

    def tell_step(self) -> None:
        """How far the run is."""
        latest = ray.get(self._progress.latest.remote())
        if latest is not None and latest[0] != self._seen:
            self._seen, loss, speed, epochs = latest
            left = self._pace.left(self._seen, time.monotonic())
            line = step_line(self._seen, self._steps, loss, speed, epochs)
            line = f"{line}  {left}".rstrip()
            self._report(line if self._seen == self._steps else Passing(line))


def step_line(step: int, steps: int, loss: float, speed: float, epochs: float | None) -> str:
    """How far a run is.

    Args:
        speed: tokens a second.
        epochs: passes over the data until now; None where that is not counted.
    """
    line = f"step {step}/{steps}  loss {loss:.3f}  {speed:,.0f} tokens/s"
    if epochs is None:
        return line
    return f"{line}  epoch {epochs:.2f} of {epochs * steps / step:.2f}"
