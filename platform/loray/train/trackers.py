'''Who hears of a training while it runs: TensorBoard, or a tracker of the user's own.

    """In house.py."""
    from collections.abc import Mapping
    from loray.train.trackers import TrackedRun

    class Board:
        def start(self, run: TrackedRun) -> None:
            self.file = open(f"{run.id}.txt", "a")
        def log(self, step: int, metrics: Mapping[str, float]) -> None:
            print(step, metrics["loss"], file=self.file, flush=True)
        def finish(self) -> None:
            self.file.close()

A spec names it `tracking: {own: house:Board}`. Trackers live in a process of their own, on the node
and in the folder where the command runs: what they do, and that they fail, does not reach the
training. One that raises is switched off, and the run's diagnoses say so.
'''

import importlib.util
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from loray.artifacts.diagnosis import Diagnosis
from loray.errors import SpecError
from loray.spec.imports import load_named
from loray.spec.tracking import TrackingSpec

MESSAGE = 200
"""Most characters of a tracker's error that are told."""
FLUSH_SECONDS = 10
"""How far TensorBoard's files may lag behind."""


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker hears before the first step."""

    id: str
    """The name and fingerprint of the training: of a run that is resumed the same as before."""
    name: str
    """The adapter's name."""
    steps: int
    """Optimizer steps in all."""
    steps_done: int
    """Steps done already; more than 0 where a run is resumed."""
    spec: dict[str, Any]
    """The whole spec, as JSON."""


class Tracker(Protocol):
    """What hears of a run."""

    def start(self, run: TrackedRun) -> None:
        """Called once, first."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Called after each step; `loray.train.metrics.MEANINGS` says what there may be.

        Where the run was set back or resumed, steps come again: the last ones count.
        """

    def finish(self) -> None:
        """Called once, last, also where the training failed."""


class TensorBoardTracker:
    """Writes event files to `<folder>/<run id>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._last = 0

    def start(self, run: TrackedRun) -> None:
        """Open the first file."""
        self._folder /= run.id
        self._open(after=run.steps_done)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the step's scalars."""
        if step <= self._last:
            self._writer.close()
            self._open(after=step - 1)
        self._last = step
        for name, value in metrics.items():
            self._writer.add_scalar(name if "/" in name else f"train/{name}", value, step)

    def finish(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _open(self, *, after: int) -> None:
        """Begin a file; it hides what earlier ones say of the steps that come again."""
        from tensorboardX import SummaryWriter  # noqa: PLC0415 (a second; only here)

        # Files are named by the second, and read in the order of their names.
        suffix = f".{time.time_ns()}"
        self._writer = SummaryWriter(
            str(self._folder),
            purge_step=after + 1,
            flush_secs=FLUSH_SECONDS,
            filename_suffix=suffix,
            write_to_disk=True,
        )


class Trackers:
    """The trackers of a run; one that raises is switched off."""

    def __init__(self, spec: TrackingSpec, tell: Callable[[Diagnosis], None]) -> None:
        self._makers = makers_of(spec)
        self._on: dict[str, Tracker] = {}
        self._tell = tell
        self._step = 0

    def start(self, run: TrackedRun) -> None:
        """Start all of them."""
        self._step = run.steps_done
        for name in self._makers:
            self._try(name, "start", partial(self._start, name, run))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tell a step to all that are on."""
        self._step = step
        for name, tracker in list(self._on.items()):
            self._try(name, "log", partial(tracker.log, step, dict(metrics)))

    def finish(self) -> None:
        """Finish all that are on."""
        for name, tracker in list(self._on.items()):
            self._try(name, "finish", tracker.finish)

    def _start(self, name: str, run: TrackedRun) -> None:
        tracker = self._makers[name]()
        tracker.start(run)
        self._on[name] = tracker

    def _try(self, name: str, method: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the training
            self._on.pop(name, None)
            words = " ".join(str(error).split())[:MESSAGE]
            seen = f"{name} raised {type(error).__name__} in {method}: {words}"
            self._tell(switched_off(self._step, seen))


def switched_off(step: int, seen: str) -> Diagnosis:
    """The diagnosis of a tracker that failed."""
    done = "it was switched off, and the training went on; correct it, or drop it from the spec"
    return Diagnosis("tracker", step, seen, done)


def makers_of(spec: TrackingSpec) -> dict[str, Callable[[], Tracker]]:
    """What makes each tracker of a spec, by the field that asks for it."""
    found: dict[str, Callable[[], Tracker]] = {}
    if spec.tensorboard is not None:
        found["tracking.tensorboard"] = partial(TensorBoardTracker, Path(spec.tensorboard))
    if spec.own is not None:
        found[f"tracking.own ({spec.own})"] = partial(_make_own, spec.own)
    return found


def _make_own(path: str) -> Tracker:
    return load_tracker(path)()


def load_tracker(path: str) -> Callable[[], Tracker]:
    """The class at `package.module:Class`, in this process.

    Raises:
        SpecError: there is none, or it is no tracker.
    """
    found = load_named(path, kind="Class", use="tracker", where="where the command runs")
    missing = [m for m in ("start", "log", "finish") if not callable(getattr(found, m, None))]
    if not inspect.isclass(found) or missing:
        lacks = f" without {', '.join(missing)}" if missing else ""
        raise SpecError(
            f"{path!r} is a {type(found).__name__}{lacks}; wanted a class with the methods "
            "start(run), log(step, metrics) and finish(); see loray.train.trackers"
        )
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise SpecError(
            f"{path!r} cannot be made without arguments ({error}); wanted a class whose settings "
            "have defaults; give them some"
        ) from error
    return cast("Callable[[], Tracker]", found)


def check_trackers(spec: TrackingSpec) -> None:
    """Refuse what could not be started, before anything is.

    Raises:
        SpecError: a package is missing, or a tracker of the user's own is.
    """
    if spec.tensorboard is not None and importlib.util.find_spec("tensorboardX") is None:
        raise SpecError(
            f"tracking.tensorboard needs tensorboardX, which {sys.executable} does not find; "
            "pip install 'loray[tensorboard]', or drop the field"
        )
    if spec.own is not None:
        load_tracker(spec.own)
