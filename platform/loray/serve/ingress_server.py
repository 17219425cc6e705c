"""The ingress deployment: HTTP in, calls to the engine deployment out."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from loray.models.identity import base_digest
from loray.serve.admission import Admission, TooManyWaitError
from loray.serve.api import Api
from loray.serve.app import build_app
from loray.serve.catalog import Catalog
from loray.serve.measures import RequestMeasures
from loray.serve.messages import Answer, Ask, Finished, Refused
from loray.serve.openai_answers import BaseIdentity
from loray.serve.outcomes import Outcome, log_failure, log_outcome
from loray.serve.recent_catalog import RecentCatalog
from loray.serve.refusals import server_fault, too_busy, unavailable
from loray.serve.replica_logs import log_through_serve
from loray.spec.run import RunSpec
from loray.spec.serve import ServeSpec

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator


class RemoteEngine:
    """The engine deployment, through its handle."""

    def __init__(self, handle: "DeploymentHandle[object]", admission: Admission) -> None:
        self._admission = admission
        self._stats = handle.stats
        self._answer = handle.options(method_name="answer", stream=True)

    async def answer(self, ask: Ask) -> AsyncGenerator[Answer, None]:
        """What a replica says, once there is a place for one more request."""
        try:
            async with self._admission.place(), aclosing(self._answers(ask)) as answers:
                async for answer in answers:
                    yield answer
        except TooManyWaitError:
            yield too_busy()

    async def _answers(self, ask: Ask) -> AsyncGenerator[Answer, None]:
        """What a replica says; one that saw the adapter before is preferred."""
        model_id = ask.adapter.digest if ask.adapter else ""
        response = self._answer.options(multiplexed_model_id=model_id).remote(ask)
        answers = cast("DeploymentResponseGenerator[Answer]", response)
        is_over = False
        try:
            async for answer in answers:
                is_over = isinstance(answer, (Finished, Refused))
                yield answer
        except BackPressureError:
            yield too_busy()
        except (DeploymentUnavailableError, RayActorError):
            yield unavailable("the engine went away while it answered; try again")
        except RayError as error:
            log_failure(ask.request_id, error)
            yield server_fault()
        finally:
            if not is_over:
                answers.cancel()

    async def stats(self) -> dict[str, object]:
        """Counters of one replica, and how many requests wait for a place at any."""
        found: dict[str, object] = await self._stats.remote()
        return {**found, "num_queued": self._admission.num_waiting}


def engine_capacity(spec: ServeSpec) -> int:
    """Requests a replica may have: those being decoded, and as many that can join at once."""
    return 2 * spec.max_batch


class IngressServer:
    """One replica."""

    def __init__(
        self, spec: RunSpec, name: str, catalog: Catalog, engine: "DeploymentHandle[object]"
    ) -> None:
        """Prepare; `name` is what the base model is called."""
        log_through_serve()
        admission = Admission(
            spec.serve.replicas * engine_capacity(spec.serve),
            most_waiting=spec.serve.max_queued_requests,
        )
        digest = base_digest(spec.base_model.path, spec.base_model.revision)
        self._measures = RequestMeasures()
        self._api = Api(
            spec=spec.serve,
            base=BaseIdentity(name, digest, int(time.time())),
            catalog=RecentCatalog(catalog),
            engine=RemoteEngine(engine, admission),
            record=self._record,
        )

    async def stop(self, seconds: float) -> tuple[int, int]:
        """As `Drain.stop`; called by whoever started the server, before Ray ends it."""
        return await self._api.drain.stop(seconds)

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """Called by Ray in the replica; Ray's proxy adds the request id by itself."""
        return build_app(self._api, adds_request_id=False)

    def _record(self, outcome: Outcome) -> None:
        self._measures.record(outcome)
        log_outcome(outcome)
