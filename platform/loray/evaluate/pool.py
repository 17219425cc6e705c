"""An actor pool that scores work items; an actor that dies loses only the item in its hands.

Items are handed out one at a time, preferably to an actor that already holds the candidate.
A lost item goes to another actor, a bounded number of times; an error that an item *raises* would
come again, so it ends the evaluation at once. Checkpoints travel through Ray's object store: an
actor needs the base model on its machine, and no disk in common with the driver.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import ray
from ray.exceptions import (
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from loray.errors import EvaluationError
from loray.evaluate.candidate_files import Files, pack
from loray.evaluate.rows import Candidate, RowResult
from loray.evaluate.work import WorkItem
from loray.machines.room import TELL_SECONDS, offered, scorers_wanted, waiting_words
from loray.pages.visible import one_line
from loray.spec.run import RunSpec

MAX_TRIES = 3
"""Actors that an item may cost, and starts in a row that may fail, before the evaluation ends."""
POLL_SECONDS = 1.0
ADVICE = (
    "Most often memory ran out: lower evaluate.batch_size or resources.eval_actors",
    "Raise resources.item_seconds if the base is slow there; else look at the device",
)
DEATHS = (RayActorError, NodeDiedError, OutOfMemoryError, WorkerCrashedError)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call of `ScorerPool.score` is."""

    done: int
    total: int
    item: WorkItem
    """The item that was just finished."""


class ItemScorer(Protocol):
    """What an actor runs; `loray.evaluate.scorer.Scorer` is the one that has a model."""

    @property
    def held(self) -> str:
        """The candidate that can be scored without loading another."""
        ...

    def hold(self, name: str, files: Files | None) -> None:
        """Make `name` the candidate at hand; `files` is None for the base."""
        ...

    def score(self, item: WorkItem) -> tuple[RowResult, ...]:
        """Score every row of an item for the candidate at hand."""
        ...


def load_scorer(spec: RunSpec) -> ItemScorer:
    """A scorer with the spec's base model."""
    # Here and not at the module's top: the driver starts actors before it pays for torch.
    from loray.evaluate.scorer import Scorer  # noqa: PLC0415

    return Scorer(spec)


class ScorerActor:
    """A scorer in a process of its own; made a Ray actor by the pool."""

    def prepare(self, spec: RunSpec, load: Callable[[RunSpec], ItemScorer]) -> int:
        """Load the base model; returns the process id."""
        self._scorer = load(spec)
        return os.getpid()

    def score(self, item: WorkItem, files: Sequence[Any]) -> tuple[RowResult, ...]:
        """Score an item.

        Args:
            files: a reference to the candidate's files, read only if it is not at hand; empty for
                the base.
        """
        if self._scorer.held != item.candidate.name:
            self._scorer.hold(item.candidate.name, ray.get(files[0]) if files else None)
        return self._scorer.score(item)


@dataclass(eq=False)
class _Actor:
    """The pool's view of one actor."""

    handle: Any
    pid: int | None = None
    """None until it is ready."""
    item: WorkItem | None = None
    """What it is scoring; None while it starts or waits."""
    since: float = 0.0
    """When it was handed the item."""
    held: str | None = None
    """Name of the candidate that it scored last."""


@dataclass
class _Run:
    """One call of `ScorerPool.score`."""

    total: int
    waiting: list[WorkItem]
    done: dict[WorkItem, tuple[RowResult, ...]] = field(default_factory=dict)
    tries: Counter[WorkItem] = field(default_factory=Counter)
    """Actors that each item has cost."""

    def take(self, held: str | None) -> WorkItem:
        """The next item for an actor that holds the candidate `held`."""
        names = [item.candidate.name for item in self.waiting]
        return self.waiting.pop(names.index(held) if held in names else 0)


class ScorerPool:
    """Actors that score items; use as a context manager, so that they end with the evaluation."""

    def __init__(
        self,
        spec: RunSpec,
        *,
        load: Callable[[RunSpec], ItemScorer] = load_scorer,
        start_seconds: float | None = None,
        tell_seconds: float = TELL_SECONDS,
        on_progress: Callable[[Progress], None] = lambda _: None,
        report: Callable[[str], None] = log.warning,
    ) -> None:
        """Prepare; nothing starts yet.

        Args:
            start_seconds: of waiting without any actor at work; `resources.start_seconds` unless
                given. Every `tell_seconds` of them `report` hears of it.
        """
        self._spec = spec
        self._load = load
        self._start_seconds = start_seconds or spec.resources.start_seconds
        self._tell_seconds = tell_seconds
        self._report = report
        self._on_progress = on_progress
        self._busy: dict[Any, _Actor] = {}
        """By the reference to what the actor is doing: starting, or scoring its item."""
        self._idle: list[_Actor] = []
        self._files: dict[Candidate, Any] = {}
        self._failed_starts = 0
        self._last_ready = self._last_told = time.monotonic()
        self.deaths = 0
        """Actors that died and were replaced."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for actor in self._everyone():
            ray.kill(actor.handle)
        self._busy.clear()
        self._idle.clear()

    @property
    def pids(self) -> list[int]:
        """Process ids of the actors that are ready, on whatever machine they run."""
        return sorted(actor.pid for actor in self._everyone() if actor.pid is not None)

    def start(self, actors: int) -> None:
        """Begin to start actors, until there are that many; returns at once."""
        for _ in range(actors - len(self._everyone())):
            self._start_one()

    def score(self, items: Sequence[WorkItem]) -> dict[WorkItem, tuple[RowResult, ...]]:
        """Score all items; the results depend on neither the number of actors nor their deaths.

        Raises:
            EvaluationError: an item cannot be scored, or no actor can start.
        """
        run = _Run(total=len(items), waiting=list(items))
        self.start(min(self._spec.resources.eval_actors, len(items)))
        self._last_ready = self._last_told = time.monotonic()
        while len(run.done) < run.total:
            self._hand_out(run)
            for ref in ray.wait(list(self._busy), num_returns=1, timeout=POLL_SECONDS)[0]:
                self._collect(self._busy.pop(ref), ref, run)
            self._bury_stuck(run)
            self._check_that_someone_works()
        self._files.clear()
        return run.done

    def _everyone(self) -> list[_Actor]:
        return [*self._busy.values(), *self._idle]

    def _start_one(self) -> None:
        resources = self._spec.resources
        made = ray.remote(ScorerActor).options(
            num_cpus=resources.cpus_per_worker, num_gpus=resources.gpus_per_worker
        )
        handle: Any = made.remote()
        self._busy[handle.prepare.remote(self._spec, self._load)] = _Actor(handle)

    def _hand_out(self, run: _Run) -> None:
        while self._idle and run.waiting:
            actor = self._idle.pop(0)
            item = run.take(actor.held)
            actor.item, actor.held, actor.since = item, item.candidate.name, time.monotonic()
            files = self._files_of(item.candidate)
            self._busy[actor.handle.score.remote(item, files)] = actor

    def _files_of(self, candidate: Candidate) -> list[Any]:
        if candidate.folder is None:
            return []
        if candidate not in self._files:
            self._files[candidate] = ray.put(pack(candidate.folder))
        return [self._files[candidate]]

    def _collect(self, actor: _Actor, ref: Any, run: _Run) -> None:  # noqa: ANN401
        try:
            answer = ray.get(ref)
        except DEATHS as error:
            self._bury(actor, error, run)
        except RayTaskError as error:
            doing = actor.item.words if actor.item else "a scorer that starts"
            raise EvaluationError(f"{doing}: {error.cause}") from error
        else:
            self._accept(actor, answer, run)

    def _accept(self, actor: _Actor, answer: Any, run: _Run) -> None:  # noqa: ANN401
        if actor.item is None:
            actor.pid = answer
            self._failed_starts = 0
        else:
            run.done[actor.item] = answer
        item, actor.item = actor.item, None
        self._idle.append(actor)
        if item is not None:
            self._on_progress(Progress(len(run.done), run.total, item))

    def _bury_stuck(self, run: _Run) -> None:
        """Count those as dead that have their item for too long: a driver or a disk may hang."""
        limit, now = self._spec.resources.item_seconds, time.monotonic()
        for ref, actor in list(self._busy.items()):
            if actor.item is not None and now - actor.since > limit:
                del self._busy[ref]
                stuck = TimeoutError(f"no answer for {limit:g} s, which is resources.item_seconds")
                self._bury(actor, stuck, run)

    def _bury(self, actor: _Actor, error: Exception, run: _Run) -> None:
        """Put a dead actor's item back and start another actor."""
        ray.kill(actor.handle)  # an actor that only cannot be reached must not go on working
        self.deaths += 1
        item = actor.item
        if item is None:
            self._failed_starts += 1
            tries, doing = self._failed_starts, "starting"
        else:
            run.tries[item] += 1
            run.waiting.append(item)
            tries, doing = run.tries[item], item.words
        log.warning("a scorer died while %s; try %d of %d", doing, tries, MAX_TRIES)
        if tries >= MAX_TRIES:
            raise EvaluationError(
                f"{tries} scorers died, each while {doing} ({one_line(str(error), longest=200)}); "
                f"wanted one that lives. {ADVICE[isinstance(error, TimeoutError)]}"
            ) from error
        self._start_one()

    def _check_that_someone_works(self) -> None:
        now = time.monotonic()
        wanted = scorers_wanted(self._spec.resources)
        if self.pids:
            self._last_ready = self._last_told = now
        elif now - self._last_ready > self._start_seconds:
            raise EvaluationError(
                f"no scorer could start for {self._start_seconds:g} s; wanted "
                f"{wanted.words}; {offered()}; free some, lower "
                "resources.cpus_per_worker or resources.gpus_per_worker, or raise "
                "resources.start_seconds"
            )
        elif now - self._last_told > self._tell_seconds:
            self._last_told = now
            self._report(waiting_words(wanted, now - self._last_ready, self._start_seconds))
