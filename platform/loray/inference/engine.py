"""The engine: one base model in memory, many adapters over it, requests for any of them together.

`submit` and the events serve a stream each; `generate` and `score` are the same engine for callers
who want results. The model that an engine was given must not be used by anyone else until `close`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from loray.errors import LorayError, RequestError
from loray.inference.answer import Answer
from loray.inference.batch import Limits, RunningBatch, RunningSequence
from loray.inference.loop import EngineLoop
from loray.inference.proof import prove_engine
from loray.inference.request import Completion, Event, GenerateRequest, Score
from loray.inference.residency import AdapterResidency
from loray.inference.rows import BASE
from loray.inference.runner import ModelRunner
from loray.inference.sampling import Sampler
from loray.inference.text import TextStream

LOAD_WAIT_SECONDS = 30.0
SCORE_TOKENS = 4096
"""Tokens, padding included, of one pass while scoring."""


@dataclass(frozen=True)
class EngineStats:
    """What the engine is doing, and did."""

    num_running: int
    num_waiting: int
    resident: tuple[str, ...]
    """Keys of the adapters in memory, least recently used first."""
    num_free_slots: int
    num_steps: int
    num_prompt_tokens: int
    num_new_tokens: int
    max_adapters_in_step: int
    """Most adapters that shared one decode step so far; the base is none."""


class Engine:
    """Generates and scores with a base model and adapters; every method is safe in any thread."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        slots: int,
        max_rank: int,
        max_batch: int,
        max_context: int,
    ) -> None:
        """Reserve memory for adapters and cache, and start the engine's thread.

        Args:
            slots: adapters in memory at once.
            max_rank: highest LoRA rank that a slot holds.
            max_batch: sequences decoded together.
            max_context: tokens of prompt and answer together.

        Raises:
            ModelError: the model is one that the engine would not compute exactly.
        """
        prove_engine(model)
        self._runner = ModelRunner(
            model, slots=slots, max_rank=max_rank, max_batch=max_batch, max_context=max_context
        )
        self._tokenizer = tokenizer
        self._adapters = AdapterResidency(self._runner.lora)
        self._limits = Limits(_end_tokens(model, tokenizer), max_context)
        self._batch = RunningBatch(self._runner, self._limits, max_batch)
        self._loop = EngineLoop(self._batch, self._release)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every request as cancelled, then the thread, and give the model back as it was."""
        self._loop.close()
        self._runner.close()

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer; the last of an answer's tokens may be one, its text not."""
        return self._limits.end_tokens

    # Adapters

    def load_adapter(
        self, key: str, folder: Path, *, wait_seconds: float = LOAD_WAIT_SECONDS
    ) -> None:
        """Bring an adapter into memory; may evict the one used longest ago that nobody uses.

        When `key` is there already with the same content, nothing happens; with other content,
        requests from now on use the new one, and those that run keep the old one to their end.

        Args:
            wait_seconds: how long to wait for a slot while requests use all of them.

        Raises:
            AdapterError: the adapter cannot be used, or no slot came free; nothing has changed.
            EngineError: the engine is closed.
        """
        with self.holding(key, folder, wait_seconds=wait_seconds):
            pass

    @contextmanager
    def holding(
        self, key: str, folder: Path, *, wait_seconds: float = LOAD_WAIT_SECONDS
    ) -> Iterator[None]:
        """`load_adapter`, and nobody can evict it inside the `with`: submit there."""
        slot = self._adapters.load(
            key, folder, run_in_engine=self._loop.call, wait_seconds=wait_seconds
        )
        try:
            yield
        finally:
            self._adapters.give_back(slot)

    def is_resident(self, key: str) -> bool:
        """Whether `key` can be asked for now; without `holding` it may be gone a moment later."""
        return key in self._adapters.keys

    def evict(self, key: str) -> bool:
        """Forget an adapter; requests that use it end with it. False when it was not in memory."""
        return self._adapters.evict(key)

    # Requests

    def submit(self, request: GenerateRequest, on_event: Callable[[Event], None]) -> None:
        """Queue a request; `on_event` hears each new token and, last, the finish reason.

        `on_event` runs in the engine's thread, where everybody waits for it: it should only hand
        the event on. When it raises, the request is cancelled.

        Raises:
            RequestError: the prompt is too long or no text of this model, or its id is in use.
            AdapterNotFoundError: the adapter is not in memory.
            EngineError: the engine is closed.
        """
        self._check_tokens(request.prompt_ids, self._limits.max_context - 1, "prompt")
        params = request.sampling
        timeout = request.timeout_seconds
        slot = None if request.adapter is None else self._adapters.take(request.adapter)
        sequence = RunningSequence(
            request=request,
            on_event=on_event,
            slot=slot,
            deadline=float("inf") if timeout is None else time.monotonic() + timeout,
            sampler=Sampler(params),
            stream=TextStream(self._tokenizer, params.stop) if params.stop else None,
        )
        try:
            self._loop.submit(sequence)
        except LorayError:
            self._release(sequence)
            raise

    def cancel(self, request_id: str) -> None:
        """End a request before its next token; nothing happens when it has ended."""
        self._loop.cancel(request_id)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """Answer all requests together; completions come in the order of the requests.

        Raises:
            RequestError: one of them is malformed; none was run.
            AdapterNotFoundError: one asks for an adapter that is not in memory.
            EngineError: the engine failed on one, or was closed.
        """
        for request in requests:
            self._check_tokens(request.prompt_ids, self._limits.max_context - 1, "prompt")
        answers = [Answer(request) for request in requests]
        # Long prompts first: those of about equal length then share a prefill with little padding.
        started: list[Answer] = []

        def queue_all() -> None:
            for answer in sorted(answers, key=lambda a: -len(a.request.prompt_ids)):
                self.submit(answer.request, answer.hear)
                started.append(answer)

        try:
            # In the engine's thread, so that all of them wait before the first pass: which rows
            # share a batch, and with it the last bits of a number, must not depend on timing.
            self._loop.call(queue_all)
            for answer in answers:
                answer.ended.wait()
        except BaseException:
            for answer in started:
                self.cancel(answer.request.request_id)
            raise
        return [answer.completion(self._tokenizer, self._limits.end_tokens) for answer in answers]

    def score(
        self, items: Sequence[tuple[Sequence[int], Sequence[bool]]], adapter: str | None
    ) -> list[Score]:
        """How likely each sequence's target tokens are, given the true tokens before them.

        Args:
            items: per sequence its token ids, and for each whether it is a target. The first
                token has nothing before it and is never counted.
            adapter: a key in memory; None is the base model.

        Raises:
            RequestError: a sequence is longer than max_context or no text of this model.
            AdapterNotFoundError: the adapter is not in memory.
            EngineError: the engine was closed.
        """
        targets = [[t for t, wanted in enumerate(mask) if wanted and t > 0] for _, mask in items]
        for ids, _ in items:
            self._check_tokens(ids, self._limits.max_context, "sequence")
        lengths = [positions[-1] + 1 if positions else 0 for positions in targets]
        sums = [0.0] * len(items)
        slot = BASE if adapter is None else self._adapters.take(adapter)
        try:
            for group in _groups(lengths):
                sequences = [items[i][0][: lengths[i]] for i in group]
                wanted = [targets[i] for i in group]
                found = self._loop.call(partial(self._runner.score, sequences, wanted, slot))
                for i, nll in zip(group, found, strict=True):
                    sums[i] = nll
        finally:
            if adapter is not None:
                self._adapters.give_back(slot)
        return [Score(nll, len(t)) for nll, t in zip(sums, targets, strict=True)]

    def stats(self) -> EngineStats:
        """A snapshot for health checks and metrics."""
        counters = self._loop.counters
        return EngineStats(
            num_running=len(self._batch.rows),
            num_waiting=self._loop.num_waiting,
            resident=self._adapters.keys,
            num_free_slots=self._adapters.num_free,
            num_steps=counters.num_steps,
            num_prompt_tokens=counters.num_prompt_tokens,
            num_new_tokens=counters.num_new_tokens,
            max_adapters_in_step=counters.max_adapters_in_step,
        )

    def _release(self, sequence: RunningSequence) -> None:
        if sequence.slot is not None:
            self._adapters.give_back(sequence.slot)

    def _check_tokens(self, ids: Sequence[int], most: int, what: str) -> None:
        if len(ids) > most:
            raise RequestError(
                f"the {what} has {len(ids)} tokens, at most {most} fit into a context of "
                f"{self._limits.max_context}; shorten it"
            )
        if ids and not 0 <= min(ids) <= max(ids) < self._runner.vocab_size:
            raise RequestError(
                f"the {what} has token ids from {min(ids)} to {max(ids)}, this model's are 0 to "
                f"{self._runner.vocab_size - 1}; use its own tokenizer"
            )


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end an answer, by the tokenizer and by the model's generation config."""
    found = model.generation_config.eos_token_id if model.generation_config else None
    ids = found if isinstance(found, list) else [found]
    return frozenset(i for i in (*ids, tokenizer.eos_token_id) if i is not None)


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of sequences to pass together: of like length, at most SCORE_TOKENS in all."""
    group: list[int] = []
    for i in sorted((i for i, n in enumerate(lengths) if n), key=lambda i: -lengths[i]):
        if group and (len(group) + 1) * lengths[group[0]] > SCORE_TOKENS:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
