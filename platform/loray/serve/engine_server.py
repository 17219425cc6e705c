"""The engine deployment: a replica holds one base model and answers for many adapters over it.

`@serve.multiplexed` here only tells Ray's router which replica saw a version before. Its cache
holds empty tokens: it evicts while streams run and before it loads, so it may not hold adapters.
Which adapters are in memory is the engine's business alone.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ray import serve

from loray.models.chat import end_token_id, load_tokenizer
from loray.serve.answerer import Answerer
from loray.serve.catalog import Catalog
from loray.serve.measures import EngineMeasures
from loray.serve.messages import Answer, Ask
from loray.serve.outcomes import log_failure
from loray.serve.refusals import server_fault
from loray.serve.replica_logs import log_through_serve
from loray.spec.run import RunSpec

logger = logging.getLogger(__name__)

HEALTH_PERIOD_SECONDS = 10.0
HEALTH_TIMEOUT_SECONDS = 30.0


class EngineServer:
    """One replica."""

    def __init__(self, spec: RunSpec, catalog: Catalog) -> None:
        """Load the base model and start the engine's thread."""
        from loray.inference import Engine  # noqa: PLC0415 (torch: only replicas need it)
        from loray.models.load import load_base, stop_at  # noqa: PLC0415

        log_through_serve()
        device = "cuda" if spec.resources.gpus_per_worker else "cpu"
        tokenizer = load_tokenizer(spec.base_model.path, spec.base_model.revision)
        model = load_base(spec.base_model, device=device)
        stop_at(model, end_token_id(tokenizer, spec.data.chat))
        self._engine = Engine(
            model,
            tokenizer,
            slots=spec.serve.slots,
            max_rank=spec.serve.max_rank,
            max_batch=spec.serve.max_batch,
            max_context=spec.serve.max_context,
        )
        self._answerer = Answerer(
            self._engine, tokenizer, spec.data.chat, spec.serve, catalog.folder
        )
        self._measures = EngineMeasures()

        @serve.multiplexed(max_num_models_per_replica=spec.serve.slots)
        async def mark_seen(digest: str) -> object:
            """An empty token; it never waits, so no cancelled request leaves a phantom behind."""
            logger.debug("this replica answers for %s", digest)
            return object()

        self._mark_seen = mark_seen
        logger.info("serving %s on %s", spec.base_model.path, device)

    async def answer(self, ask: Ask) -> AsyncGenerator[Answer, None]:
        """As `Answerer.answer`."""
        if ask.adapter is not None:
            await self._mark_seen(ask.adapter.digest)
        try:
            async with aclosing(self._answerer.answer(ask)) as answers:
                async for answer in answers:
                    yield answer
        except Exception as error:  # noqa: BLE001 - Ray would log its message, prompt and all
            log_failure(ask.request_id, error)
            yield server_fault()
        finally:
            self._measures.show(self._engine.stats())

    async def stats(self) -> dict[str, object]:
        """The engine's counters."""
        return await self._answerer.stats()

    async def check_health(self) -> None:
        """Called by Ray; raising gets this replica replaced."""
        await self._answerer.decode_one(within_seconds=HEALTH_TIMEOUT_SECONDS - 5.0)
        self._measures.show(self._engine.stats())

    def __del__(self) -> None:
        """Called by Ray once this replica's requests are over, and then by Python again."""
        engine = self.__dict__.pop("_engine", None)
        if engine is not None:
            engine.close()
