"""How far a run is: what workers say of it, and what the driver passes on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from loray.artifacts.diagnosis import diagnosis_of

PROGRESS_SECONDS = 2.0


class ProgressActor:
    """Where workers say how far they are, and why they gave up."""

    def __init__(self) -> None:
        self._latest: tuple[int, float, float] | None = None
        self._failure: str | None = None
        self._full: dict[int, int] = {}
        self._diagnoses: list[dict[str, Any]] = []
        self._groups: list[tuple[int, int]] = []
        self._tried: list[tuple[float, float]] = []
        self._tracked = 0
        self._unanswered: float | None = None

    def begin(self, workers: int, step: int) -> None:
        """So many workers began together, with `step` optimizer steps done."""
        self._groups.append((workers, step))

    def groups(self, start: int = 0) -> list[tuple[int, int]]:
        """Who began, (workers, steps done), from the `start`-th on."""
        return self._groups[start:]

    def note(self, step: int, loss: float, tokens_per_second: float) -> None:
        """A worker finished `step`."""
        self._latest = (step, loss, tokens_per_second)
        if self._unanswered is None:
            self._unanswered = time.monotonic()

    def latest(self) -> tuple[int, float, float] | None:
        """The last note: step, loss in nats, tokens a second over all workers."""
        return self._latest

    def answer(self, step: int) -> None:
        """The trackers have been told `step`."""
        self._tracked = step
        is_behind = self._latest is not None and step < self._latest[0]
        self._unanswered = time.monotonic() if is_behind else None

    def trackers(self) -> tuple[int, float]:
        """The last step that they were told, and for how many seconds one is waiting."""
        since = self._unanswered
        return self._tracked, 0.0 if since is None else time.monotonic() - since

    def diagnose(self, record: dict[str, Any]) -> None:
        """Something is wrong, and may have been set right; a `Diagnosis.record`."""
        self._diagnoses.append(record)

    def diagnoses(self, start: int = 0) -> list[dict[str, Any]]:
        """What was diagnosed, from the `start`-th on."""
        return self._diagnoses[start:]

    def leave(self, tried: list[tuple[float, float]]) -> None:
        """The learning rates that were tried, and their losses."""
        self._tried = tried

    def tried(self) -> list[tuple[float, float]]:
        """What was left."""
        return self._tried

    def fail(self, text: str) -> None:
        """A worker met an error that another try would only repeat; the first one counts."""
        self._failure = self._failure or text

    def out_of_memory(self, worker: int, text: str) -> None:
        """A worker had too little; where it had at the same step before, a third try has no more.

        Args:
            worker: its number.
            text: what it was told.
        """
        at = 0 if self._latest is None else self._latest[0]
        if self._full.get(worker) == at:
            self.fail(
                f"out of memory twice after step {at}: {text}; `loray plan SPEC` says what takes "
                "how much and, with --device, what to change"
            )
        self._full[worker] = at

    def failure(self) -> str | None:
        """The error that ended the run, if one did."""
        return self._failure


def start_progress() -> Any:  # noqa: ANN401 (an actor handle has no useful type)
    """A `ProgressActor` on the driver's node, which no worker's node takes along when it dies."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    made: Any = ray.remote(ProgressActor).options(num_cpus=0, scheduling_strategy=here)
    return made.remote()


@contextmanager
def followed(
    progress: Any,  # noqa: ANN401
    *,
    steps: int,
    workers: int,
    report: Callable[[str], None],
) -> Iterator[None]:
    """Report the workers' progress while the body runs.

    Args:
        workers: that are wanted; when there are others, it is said.
    """
    done = threading.Event()
    teller = _Teller(progress, steps, workers, report)

    def follow() -> None:
        is_over = False
        while not is_over:
            is_over = done.wait(PROGRESS_SECONDS)
            teller.tell_groups()
            teller.tell_diagnoses()
            if not is_over:
                teller.tell_step()

    thread = threading.Thread(target=follow, name="train-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class _Teller:
    """Says once what is new."""

    def __init__(
        self,
        progress: Any,  # noqa: ANN401
        steps: int,
        workers: int,
        report: Callable[[str], None],
    ) -> None:
        self._progress = progress
        self._report = report
        self._steps = steps
        self._wanted = self._workers = workers
        self._seen = self._told = self._groups = 0

    def tell_groups(self) -> None:
        """How many workers there are, where that changed."""
        for workers, step in ray.get(self._progress.groups.remote(self._groups)):
            self._groups += 1
            if workers != self._workers:
                self._report(f"{workers} of {self._wanted} workers, from step {step}")
            self._workers = workers

    def tell_diagnoses(self) -> None:
        """What was diagnosed."""
        for record in ray.get(self._progress.diagnoses.remote(self._told)):
            self._report(str(diagnosis_of(record)))
            self._told += 1

    def tell_step(self) -> None:
        """How far the run is."""
        latest = ray.get(self._progress.latest.remote())
        if latest is not None and latest[0] != self._seen:
            self._seen, loss, speed = latest
            self._report(f"step {self._seen}/{self._steps}  loss {loss:.3f}  {speed:,.0f} tokens/s")
