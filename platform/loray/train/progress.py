"""How far a run is: where workers and Ray Train's controller say so, and the driver looks."""

import time
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class ProgressActor:
    """Where workers say how far they are, and why they gave up."""

    def __init__(self) -> None:
        self._latest: tuple[int, float, float, float | None] | None = None
        self._failure: str | None = None
        self._met: dict[int, tuple[int, str]] = {}
        self._controller: Any = None
        self._is_running = False
        self._restarts: list[str] = []
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

    def note(
        self, step: int, loss: float, tokens_per_second: float, epochs: float | None = None
    ) -> None:
        """A worker finished `step`, and with it so many passes over the data."""
        self._latest = (step, loss, tokens_per_second, epochs)
        if self._unanswered is None:
            self._unanswered = time.monotonic()

    def latest(self) -> tuple[int, float, float, float | None] | None:
        """The last note: step, loss in nats, tokens a second over all workers, epochs."""
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

    def meet(self, worker: int, mark: str, text: str, *, what: str = "", advice: str = "") -> None:
        """A worker met an error that may pass; the same one twice at the same step will not.

        Args:
            worker: its number.
            mark: the same for the same error, whatever numbers differ from one try to the next.
            text: what it was told.
            what: its kind, where there is a word for it.
            advice: what to do when it comes again.
        """
        at = 0 if self._latest is None else self._latest[0]
        if self._met.get(worker) == (at, mark):
            end = f"; {advice}" if advice else ""
            self.fail(f"{what or 'the same error'} twice after step {at}: {text}{end}")
        self._met[worker] = (at, mark)

    def controlled_by(self, controller: Any) -> None:  # noqa: ANN401 (an actor's handle)
        """Ray Train's controller of this run began."""
        self._controller = controller

    def enter(self, *, is_running: bool, why: str) -> None:
        """The controller has all its workers, or lost them; `why` they begin again, if they do."""
        self._is_running = is_running
        self._restarts += [why] if why else []

    def control(self, start: int = 0) -> tuple[Any, bool, list[str]]:
        """The controller, whether it has its workers, and why they began again from `start` on."""
        return self._controller, self._is_running, self._restarts[start:]

    def failure(self) -> str | None:
        """The error that ended the run, if one did."""
        return self._failure


def start_progress() -> Any:  # noqa: ANN401 (an actor handle has no useful type)
    """A `ProgressActor` on the driver's node, which no worker's node takes along when it dies."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    made: Any = ray.remote(ProgressActor).options(num_cpus=0, scheduling_strategy=here)
    return made.remote()
