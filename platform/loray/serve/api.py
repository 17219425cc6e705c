"""What each route does: OpenAI's API over a catalog and an engine, whichever these are."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loray.errors import LorayError
from loray.serve.body import max_body_bytes, read_json
from loray.serve.catalog import AdapterVersion, is_reference
from loray.serve.drain import Drain
from loray.serve.edge import CLAIMED_MODEL
from loray.serve.generation import EngineClient, GenerationResponse, Progress
from loray.serve.messages import Ask
from loray.serve.openai_answers import Answering, BaseIdentity, Endpoint, model_card
from loray.serve.openai_requests import (
    ChatRequest,
    GenerationRequest,
    parse_chat,
    parse_completion,
)
from loray.serve.outcomes import Outcome, prompt_mark
from loray.serve.recent_catalog import RecentCatalog
from loray.serve.refusals import RefusedError, bad_value, unavailable, unknown_model
from loray.spec.serve import ServeSpec

logger = logging.getLogger(__name__)

_ROLES = {"developer": "system"}
"""What OpenAI calls a role and chat templates call another."""
READY_SECONDS = 5.0
"""How long an engine replica may take to show that it is there."""
_NO_REGISTRY = "the registry does not answer; try again"


@dataclass(frozen=True)
class Api:
    """Everything the routes need."""

    spec: ServeSpec
    base: BaseIdentity
    catalog: RecentCatalog
    engine: EngineClient
    record: Callable[[Outcome], None]
    drain: Drain = field(default_factory=Drain)

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        body = await self._body(request)
        chat = parse_chat(body, max_new_tokens=self.spec.max_new_tokens)
        turns = tuple((_ROLES.get(m.role, m.role), m.text) for m in chat.messages)
        return await self._generate(request, "chat", chat, turns)

    async def complete(self, request: Request) -> Response:
        """`POST /v1/completions`."""
        body = await self._body(request)
        completion = parse_completion(body, max_new_tokens=self.spec.max_new_tokens)
        return await self._generate(request, "completion", completion, (("text", completion.text),))

    async def models(self) -> dict[str, Any]:
        """`GET /v1/models`: the base, then every reference that names something now."""
        try:
            listed = await self.catalog.listing()
        except LorayError as error:
            raise _no_registry("the listing", error) from error
        cards = [model_card(ref, self.base, version) for ref, version in listed]
        return {"object": "list", "data": [model_card(self.base.name, self.base, None), *cards]}

    async def model(self, model_id: str) -> dict[str, Any]:
        """`GET /v1/models/{id}`."""
        return model_card(model_id, self.base, await self._resolve(model_id))

    async def stats(self) -> dict[str, object]:
        """`GET /v1/stats`: counters of one engine replica, and requests that are not over."""
        return {**await self.engine.stats(), "num_in_flight": self.drain.num_in_flight}

    async def health(self) -> dict[str, str]:
        """`GET /healthz`: this process answers; Ray looks after the engine by itself."""
        return {"status": "ok"}

    async def ready(self) -> dict[str, str]:
        """`GET /readyz`: an engine replica answers, and the server is not about to stop."""
        self.drain.refuse_newcomers()
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self.engine.stats()
        except Exception as error:
            raise RefusedError(unavailable("no engine replica answers yet; try again")) from error
        return {"status": "ready"}

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_json(request, max_bytes=max_body_bytes(self.spec.max_context))

    async def _generate(
        self,
        request: Request,
        endpoint: Endpoint,
        wanted: GenerationRequest,
        turns: tuple[tuple[str, str], ...],
    ) -> Response:
        self.drain.refuse_newcomers()
        claimed = request.headers.get(CLAIMED_MODEL, wanted.model)
        if claimed != wanted.model:
            raise bad_value(
                "model", "the header serve_multiplexed_model_id names another model; leave it out"
            )
        version = await self._resolve(wanted.model)
        ask = self._ask(wanted, turns, version)
        answering = Answering(
            endpoint=endpoint,
            answer_id=f"{'chatcmpl' if endpoint == 'chat' else 'cmpl'}-{ask.request_id}",
            model=version.ref if version else self.base.name,
            digest=version.digest if version else self.base.digest,
        )
        text = "\n".join(content for _, content in turns)
        request_id = str(request.scope["loray.request_id"])
        return GenerationResponse(
            self.engine,
            ask,
            answering,
            drain=self.drain,
            usage_in_stream=wanted.includes_usage if wanted.stream else None,
            when_over=lambda progress: self.record(
                _outcome(request_id, answering.model, text, progress)
            ),
        )

    def _ask(
        self,
        wanted: GenerationRequest,
        turns: tuple[tuple[str, str], ...],
        version: AdapterVersion | None,
    ) -> Ask:
        also = wanted.max_completion_tokens if isinstance(wanted, ChatRequest) else None
        return Ask(
            request_id=uuid.uuid4().hex,
            turns=turns,
            adapter=version,
            max_new_tokens=wanted.max_tokens or also,
            temperature=wanted.temperature,
            top_p=wanted.top_p,
            seed=wanted.seed,
            stop=wanted.stops,
            deadline_seconds=self.spec.request_timeout_seconds,
            include_reasoning=isinstance(wanted, ChatRequest) and wanted.include_reasoning,
        )

    async def _resolve(self, model: str) -> AdapterVersion | None:
        """The version that `model` names; None for the base. Nothing is loaded or evicted for it.

        Raises:
            RefusedError: 400 for what cannot be a name, 404 for what names nothing.
        """
        if model == self.base.name:
            return None
        if not is_reference(model):
            raise bad_value(
                "model",
                f"{ascii(model)[:80]} cannot name a model; wanted name, name@version or "
                "name@alias, each of 1 to 64 characters of a-z, 0-9, '.', '_', '-'",
            )
        try:
            version = await self.catalog.resolve(model)
        except LorayError as error:
            raise _no_registry(model, error) from error
        if version is None:
            raise RefusedError(unknown_model())
        return version


def _no_registry(asked: str, error: LorayError) -> RefusedError:
    """503 for the client; the cause is in the log, since it may name hosts and paths."""
    logger.warning("503 for %s: %s", asked, error)
    return RefusedError(unavailable(_NO_REGISTRY))


def _outcome(request_id: str, model: str, text: str, progress: Progress) -> Outcome:
    finished = progress.finished
    return Outcome(
        request_id=request_id,
        model=model,
        status=progress.status,
        code=progress.code,
        seconds=time.monotonic() - progress.began,
        first_seconds=progress.first_seconds,
        num_prompt_chars=len(text),
        prompt_mark=prompt_mark(text),
        num_prompt_tokens=progress.num_prompt_tokens,
        num_new_tokens=finished.num_new_tokens if finished else 0,
        mean_entropy=finished.mean_entropy if finished else None,
    )
