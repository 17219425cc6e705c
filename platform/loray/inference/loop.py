"""The engine's thread: the only one that touches the model, its slots and its cache.

One turn: what other threads asked for, requests that were cancelled or ran out of time, newcomers
(prefill), one token for everybody. Whatever goes wrong in a pass reaches the requests in it as
their last event; the thread goes on.
"""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import ref as weakref

import torch

from loray.errors import EngineError, RequestError
from loray.inference.batch import Outcome, RunningBatch, RunningSequence
from loray.inference.request import Event, FinishReason

PREFILL_TOKENS = 2048
"""Most tokens, padding included, that newcomers bring to one pass, so that others wait briefly."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass
class Counters:
    """What the thread did since it began."""

    num_steps: int = 0
    num_prompt_tokens: int = 0
    num_new_tokens: int = 0
    max_adapters_in_step: int = 0
    """Most adapters that shared a decode step; the base is none."""


@dataclass(order=True)
class _Deadline:
    at: float
    sequence: "weakref[RunningSequence]" = field(compare=False)
    """Weak: a sequence that has ended, its prompt and its listener, must not be held so long."""


class EngineLoop:
    """Runs a batch in a thread of its own; every method may be called from any other thread."""

    def __init__(self, batch: RunningBatch, on_end: Callable[[RunningSequence], None]) -> None:
        """Start the thread.

        Args:
            on_end: called in the thread for each sequence before it hears its last event.
        """
        self.counters = Counters()
        self._batch = batch
        self._on_end = on_end
        self._changed = threading.Condition()
        self._live: dict[str, RunningSequence] = {}
        self._waiting: deque[RunningSequence] = deque()
        self._deadlines: list[_Deadline] = []
        self._cancelled: list[RunningSequence] = []
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="loray-engine", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """Requests that have no row yet."""
        return len(self._waiting)

    def submit(self, sequence: RunningSequence) -> None:
        """Queue a sequence; it joins when a row is free, first come first served.

        Raises:
            EngineError: the engine is closed.
            RequestError: a request of the same id is still running.
        """
        request_id = sequence.request.request_id
        with self._changed:
            self._refuse_if_closed()
            if request_id in self._live:
                raise RequestError(
                    f"request id {request_id!r:.80} is still in use; give every request its own"
                )
            self._live[request_id] = sequence
            self._waiting.append(sequence)
            if sequence.deadline < float("inf"):
                heapq.heappush(self._deadlines, _Deadline(sequence.deadline, weakref(sequence)))
            self._changed.notify_all()

    def cancel(self, request_id: str) -> None:
        """End a request between two steps; nothing happens when it has ended."""
        with self._changed:
            if request_id in self._live:
                self._cancelled.append(self._live[request_id])
                self._changed.notify_all()

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` in the thread, between two steps; its result or its error comes back.

        Raises:
            EngineError: the engine is closed.
        """
        if threading.current_thread() is self._thread:
            return function()
        future: Future[T] = Future()
        with self._changed:
            self._refuse_if_closed()
            self._jobs.append((function, future))
            self._changed.notify_all()
        return future.result()

    def close(self) -> None:
        """End every request and the thread; a second call does nothing."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise EngineError("the engine is closed; start another one")

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._turn():
                    pass
        finally:
            self._shut()

    def _turn(self) -> bool:
        """Do what there is to do, or wait for it; False when the engine is to end."""
        with self._changed:
            self._changed.wait_for(self._has_work)
            if self._is_closed:
                return False
            jobs, self._jobs = self._jobs, deque()
        for function, future in jobs:
            _settle(function, future)
        self._end_cancelled()
        self._end_expired()
        newcomers = self._newcomers()
        if newcomers:
            self._pass(newcomers, lambda: self._batch.join(newcomers))
        if self._batch.rows:
            self.counters.num_steps += 1
            num_adapters = len({row.slot for row in self._batch.rows} - {None})
            most = max(self.counters.max_adapters_in_step, num_adapters)
            self.counters.max_adapters_in_step = most
            self._pass(list(self._batch.rows), self._batch.step)
        return True

    def _has_work(self) -> bool:
        return bool(
            self._is_closed or self._jobs or self._cancelled or self._waiting or self._batch.rows
        )

    def _newcomers(self) -> list[RunningSequence]:
        """The next in the queue, as many as have a row and fit into one prefill."""
        newcomers: list[RunningSequence] = []
        longest = 0
        with self._changed:
            while self._waiting and len(newcomers) < self._batch.num_free:
                longest = max(longest, len(self._waiting[0].request.prompt_ids))
                if newcomers and longest * (len(newcomers) + 1) > PREFILL_TOKENS:
                    break
                newcomers.append(self._waiting.popleft())
        self.counters.num_prompt_tokens += sum(len(s.request.prompt_ids) for s in newcomers)
        return newcomers

    def _pass(
        self, sequences: Sequence[RunningSequence], compute: Callable[[], Sequence[Outcome]]
    ) -> None:
        """Run the model; every sequence of the pass hears of its token or of the error."""
        try:
            outcomes = compute()
        except Exception as error:  # it reaches every request of the pass
            logger.exception("a pass over %d sequences failed", len(sequences))
            cause = EngineError(f"the engine failed on this request: {error!r:.300}; try again")
            cause.__cause__ = error
            for sequence in sequences:
                self._end(sequence, "error", cause)
            return
        for outcome in outcomes:
            self.counters.num_new_tokens += len(outcome.event.token_ids)
            if outcome.event.finish_reason is not None:
                self._forget(outcome.sequence)
            self._tell(outcome.sequence, outcome.event)

    def _end_cancelled(self) -> None:
        with self._changed:
            cancelled, self._cancelled = self._cancelled, []
        for sequence in cancelled:
            if self._is_live(sequence):
                self._end(sequence, "cancelled")

    def _end_expired(self) -> None:
        now, expired = time.monotonic(), []
        with self._changed:
            while self._deadlines and self._deadlines[0].at <= now:
                expired.append(heapq.heappop(self._deadlines).sequence())
        for sequence in expired:
            if sequence is not None and self._is_live(sequence):
                self._end(sequence, "deadline")

    def _is_live(self, sequence: RunningSequence) -> bool:
        """Whether it has not ended; another request may have its id by now."""
        return self._live.get(sequence.request.request_id) is sequence

    def _end(
        self, sequence: RunningSequence, reason: FinishReason, error: EngineError | None = None
    ) -> None:
        self._forget(sequence)
        request_id = sequence.request.request_id
        self._tell(sequence, Event(request_id, finish_reason=reason, error=error))

    def _forget(self, sequence: RunningSequence) -> None:
        """Free all that the sequence holds, before it hears that it ended."""
        with self._changed:
            del self._live[sequence.request.request_id]
            if sequence in self._batch.rows:
                self._batch.leave(sequence)
            elif sequence in self._waiting:
                self._waiting.remove(sequence)
        self._on_end(sequence)

    def _tell(self, sequence: RunningSequence, event: Event) -> None:
        try:
            sequence.on_event(event)
        except Exception:
            logger.exception("the listener of request %r failed", event.request_id)
            with self._changed:  # itself, and not who may have its id by now
                self._cancelled.append(sequence)

    def _shut(self) -> None:
        """Tell everybody who still waits; nobody can come after."""
        with self._changed:
            self._is_closed = True
            jobs, self._jobs = self._jobs, deque()
            sequences = list(self._live.values())
        gone = EngineError("the engine was closed before it came to this; start another one")
        for _, future in jobs:
            future.set_exception(gone)
        for sequence in sequences:
            self._end(sequence, "cancelled", gone)


def _settle(function: Callable[[], Any], future: "Future[Any]") -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        future.set_exception(error)
