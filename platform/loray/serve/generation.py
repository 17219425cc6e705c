"""One answer on its way to a client: streamed or whole, within the deadline, while it listens."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from starlette.responses import Response

from loray.serve.disconnect import until_disconnect
from loray.serve.drain import Drain, stopping
from loray.serve.messages import Accepted, Answer, Ask, Finished, Piece, Refused
from loray.serve.openai_answers import Answering
from loray.serve.outcomes import CLIENT_GONE
from loray.serve.refusals import server_fault, too_late
from loray.serve.wire import Wire

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

FAREWELL_SECONDS = 1.0
"""For the last words to a client whose time is up."""


class EngineClient(Protocol):
    """The engine as the HTTP side sees it, near or far."""

    def answer(self, ask: Ask) -> AsyncGenerator[Answer, None]:
        """What the engine has to say, to the end; closing it early stops the engine."""
        ...

    async def stats(self) -> dict[str, object]:
        """Counters of one replica."""
        ...


@dataclass
class Progress:
    """How far an answer has come."""

    status: int = CLIENT_GONE
    code: str = "client_gone"
    first_seconds: float | None = None
    num_prompt_tokens: int = 0
    finished: Finished | None = None
    began: float = field(default_factory=time.monotonic)

    def note(self, answer: Answer) -> None:
        """Take in one more item."""
        match answer:
            case Accepted():
                self.num_prompt_tokens = answer.num_prompt_tokens
            case Piece():
                if self.first_seconds is None:
                    self.first_seconds = time.monotonic() - self.began
            case Finished():
                self.status, self.code, self.finished = 200, answer.finish_reason, answer
            case Refused():
                self.status, self.code = answer.status, answer.code


class GenerationResponse(Response):
    """Runs one request on the engine and sends what comes."""

    def __init__(
        self,
        engine: EngineClient,
        ask: Ask,
        answering: Answering,
        *,
        drain: Drain,
        usage_in_stream: bool | None,
        when_over: Callable[[Progress], None],
    ) -> None:
        """Prepare; `usage_in_stream` is None when the answer is not streamed."""
        super().__init__()
        self._engine = engine
        self._ask = ask
        self._answering = answering
        self._drain = drain
        self._usage_in_stream = usage_in_stream
        self._when_over = when_over
        self._progress = Progress()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer; a client that hangs up ends the generation."""
        try:
            await until_disconnect(receive, self._run(Wire(scope, receive, send)))
        finally:
            self._when_over(self._progress)

    async def _run(self, wire: Wire) -> None:
        left = self._ask.deadline_seconds - (time.monotonic() - self._progress.began)
        ask = replace(self._ask, deadline_seconds=max(left, 0.0))
        with self._drain.in_flight(limit := asyncio.timeout(left)):
            try:
                async with limit, aclosing(self._engine.answer(ask)) as answers:
                    refused = await self._pass_on(answers, wire)
            except TimeoutError:
                is_late = not self._drain.is_over
                refused = too_late(self._ask.deadline_seconds) if is_late else stopping()
            if refused is not None:
                self._progress.note(refused)
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await wire.refuse(refused)

    async def _pass_on(self, answers: AsyncGenerator[Answer, None], wire: Wire) -> Refused | None:
        """Send what the engine says; a refusal is left to the caller to send."""
        text: list[str] = []
        async for answer in answers:
            match answer:
                case Refused():
                    return answer
                case Piece() if wire.is_stream:
                    await wire.events(self._answering.piece(answer.text))
                case Piece():
                    text.append(answer.text)
                case Accepted() if self._usage_in_stream is not None:
                    await wire.begin(self._named())
                    await wire.events(*self._answering.opening())
                case Finished():
                    await self._finish(wire, answer, "".join(text))
            self._progress.note(answer)
        return None if self._progress.finished else server_fault()

    async def _finish(self, wire: Wire, finished: Finished, text: str) -> None:
        num_prompt_tokens = self._progress.num_prompt_tokens
        if self._usage_in_stream is None:
            body = self._answering.whole(text, finished, num_prompt_tokens)
            await wire.json(200, body, self._named())
            return
        await wire.events(
            *self._answering.closing(
                finished, num_prompt_tokens, includes_usage=self._usage_in_stream
            )
        )
        await wire.end()

    def _named(self) -> dict[str, str]:
        return {"x-loray-adapter": self._answering.model, "x-loray-digest": self._answering.digest}
