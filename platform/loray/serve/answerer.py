"""The asyncio side of one engine: prompts in, pieces of text out.

The engine has its own thread. Here requests are tokenized, adapters are made resident, and the
engine's events become pieces of text: several tokens to a piece, since a piece costs half a
millisecond on its way through Ray.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from loray.errors import AdapterNotFoundError, LorayError, ModelError, RequestError
from loray.inference import Event, GenerateRequest, Said, SamplingParams, answer_stream
from loray.models.chat import encode, encode_prompt
from loray.serve.catalog import AdapterVersion
from loray.serve.messages import Accepted, Answer, Ask, Finished, Piece, Refused
from loray.serve.news import News
from loray.serve.refusals import RefusedError, too_late, unavailable
from loray.serve.residency import AdapterMemory, Residency
from loray.spec.data import ChatSpec
from loray.spec.serve import ServeSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from loray.inference.engine import EngineStats

logger = logging.getLogger(__name__)

GRACE_SECONDS = 2.0
"""How much later than the engine's own deadline it is given up on."""


class Engine(AdapterMemory, Protocol):
    """What is asked of an engine; `loray.inference.Engine` is one, another may stand in."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer and are no part of its text."""
        ...

    def submit(self, request: GenerateRequest, on_event: Callable[[Event], None]) -> None:
        """Queue a request; `on_event` is called from the engine's thread.

        Raises:
            AdapterNotFoundError: the request's adapter is not resident.
            LorayError: the engine cannot take requests any more.
        """
        ...

    def cancel(self, request_id: str) -> None:
        """End a request early; its row is free for another at the next step."""
        ...

    def stats(self) -> "EngineStats":
        """What the engine is doing, and did."""
        ...


class Answerer:
    """Answers asks with one engine."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: "PreTrainedTokenizerFast",
        chat: ChatSpec,
        spec: ServeSpec,
        folder: Callable[[AdapterVersion], Path],
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._chat = chat
        self._spec = spec
        self._residency = Residency(engine, folder)
        self._tokenizing = ThreadPoolExecutor(1, "loray-tokenize")
        self._last_news = float("-inf")

    async def answer(self, ask: Ask) -> AsyncGenerator[Answer, None]:
        """Everything the engine says to `ask`; closing the generator frees the engine's row."""
        deadline = time.monotonic() + ask.deadline_seconds
        news = News()
        try:
            async with asyncio.timeout(ask.deadline_seconds):
                request = await self._submit(ask, deadline, news)
        except TimeoutError:
            yield too_late(ask.deadline_seconds)
            return
        except RefusedError as error:
            yield error.refused
            return
        except LorayError as error:
            yield _refusal(error)
            return
        try:
            yield Accepted(len(request.prompt_ids))
            async for answer in self._listen(ask, request, news, deadline):
                yield answer
        finally:
            if not news.has_ended:
                self._engine.cancel(request.request_id)

    async def decode_one(self, *, within_seconds: float) -> None:
        """Prove that the engine lives: it spoke within that time, or decodes a token now.

        A busy engine would keep a probe waiting behind its queue, and must not be killed for it.

        Raises:
            TimeoutError: it did neither.
            LorayError: it refuses.
        """
        if time.monotonic() - self._last_news < within_seconds:
            return
        news = News()
        sampling = SamplingParams(max_new_tokens=1)
        request = GenerateRequest(f"health-{uuid.uuid4().hex}", (0,), None, sampling)
        self._engine.submit(request, news.post)
        try:
            async with asyncio.timeout(within_seconds):
                while not news.has_ended:
                    await news.next()
        finally:
            if not news.has_ended:
                self._engine.cancel(request.request_id)
        self._last_news = time.monotonic()

    async def stats(self) -> dict[str, object]:
        """The engine's counters."""
        return asdict(self._engine.stats())

    async def _submit(self, ask: Ask, deadline: float, news: "News") -> GenerateRequest:
        loop = asyncio.get_running_loop()
        prompt_ids = await loop.run_in_executor(self._tokenizing, self._encode, ask)
        sampling = SamplingParams(
            max_new_tokens=self._num_new_tokens(ask, len(prompt_ids)),
            temperature=ask.temperature,
            top_p=ask.top_p,
            seed=ask.seed,
            stop=ask.stop,
        )

        def submit() -> GenerateRequest:
            left = max(deadline - time.monotonic(), 0.0)
            key = ask.adapter.digest if ask.adapter else None
            is_raw = ask.turns[0][0] == "text"
            request = GenerateRequest(
                ask.request_id, prompt_ids, key, sampling, left, keeps_reasoning=is_raw
            )
            self._engine.submit(request, news.post)
            return request

        try:
            return submit()
        except AdapterNotFoundError:
            if ask.adapter is None:
                raise
        async with self._residency.held(ask.adapter):
            return submit()

    def _encode(self, ask: Ask) -> tuple[int, ...]:
        turns = [{"role": role, "content": content} for role, content in ask.turns]
        if ask.turns[0][0] == "text":
            return tuple(encode(turns, self._tokenizer, self._chat).input_ids[:-1])  # without EOS
        return tuple(encode_prompt(turns, self._tokenizer, self._chat))

    def _num_new_tokens(self, ask: Ask, num_prompt_tokens: int) -> int:
        room = self._spec.max_context - num_prompt_tokens
        wanted = ask.max_new_tokens or min(max(room, 1), self._spec.max_new_tokens)
        if wanted > room:
            message = (
                f"the prompt has {num_prompt_tokens} tokens and the answer may have {wanted}, "
                f"together more than the context of {self._spec.max_context}; "
                "shorten the prompt or lower max_tokens"
            )
            raise RefusedError(Refused(400, "context_length_exceeded", message, "max_tokens"))
        return wanted

    async def _listen(
        self, ask: Ask, request: GenerateRequest, news: "News", deadline: float
    ) -> AsyncGenerator[Answer, None]:
        stream = answer_stream(self._tokenizer, request)
        entropies: list[float] = []
        while not news.has_ended:
            try:
                async with asyncio.timeout(deadline + GRACE_SECONDS - time.monotonic()):
                    event = await news.next()
            except TimeoutError:
                yield too_late(ask.deadline_seconds)
                return
            self._last_news = time.monotonic()
            entropies += event.entropies
            is_ended = self._engine.end_tokens.intersection(event.token_ids[-1:])
            said = stream.push(event.token_ids[:-1] if is_ended else event.token_ids)
            last = stream.finish() if news.has_ended else Said()
            text, reasoning = said.text + last.text, said.reasoning + last.reasoning
            if text or (reasoning and ask.include_reasoning):
                yield Piece(text, reasoning if ask.include_reasoning else "")
        yield _ending(event, entropies, ask.deadline_seconds)


def _ending(event: Event, entropies: list[float], limit_seconds: float) -> Finished | Refused:
    match event.finish_reason:
        case "stop" | "length":
            mean = sum(entropies) / len(entropies) if entropies else None
            return Finished(event.finish_reason, len(entropies), mean)
        case "deadline":
            return too_late(limit_seconds)
        case "error":
            return _refusal(event.error or LorayError("the engine gave no reason"))
        case _:
            return unavailable("the server is stopping; try again")


def _refusal(error: LorayError) -> Refused:
    """What a client is told; what is not its fault stays in the log."""
    if isinstance(error, RequestError):
        return Refused(400, "invalid_value", str(error))
    if isinstance(error, ModelError):
        return Refused(400, "invalid_turns", str(error), "messages")
    logger.warning("not answered: %s", error)
    return unavailable("this model cannot be answered for at present; try again")
