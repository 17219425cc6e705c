"""The engine deployment as the ingress sees it, through a handle that stands for Ray's."""

import asyncio

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from loray.serve.admission import Admission
from loray.serve.ingress_server import RemoteEngine
from loray.serve.messages import Accepted, Ask, Finished, Piece, Refused
from tests.serve.echo import version_of

ANSWER = [Accepted(3), Piece("hi"), Finished("stop", 2, 0.1)]


class Answers:
    """As `DeploymentResponseGenerator`: items, or an error after some of them."""

    def __init__(self, items: list) -> None:
        self._items = list(items)
        self.num_cancelled = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._items:
            raise StopAsyncIteration
        item = self._items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def cancel(self) -> None:
        self.num_cancelled += 1


class Handle:
    """As `DeploymentHandle`."""

    def __init__(self, items: list) -> None:
        self.answers = Answers(items)
        self.chosen: dict = {}
        self.stats = None

    def options(self, **chosen) -> "Handle":
        self.chosen |= chosen
        return self

    def remote(self, ask: Ask) -> Answers:
        return self.answers


def ask(adapter=None) -> Ask:
    return Ask("r1", (("user", "hi"),), adapter, None, 1.0, 1.0, None, (), 5.0)


def remote(handle: Handle, places: int = 1, most_waiting: int = 0) -> RemoteEngine:
    return RemoteEngine(handle, Admission(places, most_waiting=most_waiting))


def all_of(handle: Handle, wanted: Ask) -> list:
    async def go():
        return [answer async for answer in remote(handle).answer(wanted)]

    return asyncio.run(go())


def test_an_answer_passes_through_and_is_not_cancelled_when_it_is_over():
    handle = Handle(ANSWER)
    assert all_of(handle, ask()) == ANSWER
    assert handle.answers.num_cancelled == 0


def test_the_router_hears_the_digest_and_for_the_base_nothing():
    handle, version = Handle(ANSWER), version_of("poet", 2)
    all_of(handle, ask(version))
    assert handle.chosen["multiplexed_model_id"] == version.digest
    all_of(handle, ask())
    assert handle.chosen["multiplexed_model_id"] == ""
    assert handle.chosen["stream"] is True


def test_an_answer_that_nobody_wants_any_more_is_cancelled():
    handle = Handle(ANSWER)

    async def go():
        answers = remote(handle).answer(ask())
        await anext(answers)
        await answers.aclose()

    asyncio.run(go())
    assert handle.answers.num_cancelled == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BackPressureError(num_queued_requests=9, max_queued_requests=8), 429),
        (DeploymentUnavailableError("engine"), 503),
        (ActorDiedError(), 503),
        (RayTaskError("answer", "a traceback with a prompt", ValueError("prompt")), 500),
    ],
)
@pytest.mark.parametrize("said", [[], ANSWER[:2]])
def test_what_ray_reports_becomes_a_refusal(error, status, said, caplog):
    found = all_of(Handle([*said, error]), ask())
    assert found[:-1] == said
    assert isinstance(found[-1], Refused)
    assert found[-1].status == status
    assert "prompt" not in found[-1].message
    assert "a traceback with a prompt" not in caplog.text


def test_too_busy_says_when_to_come_again():
    error = BackPressureError(num_queued_requests=9, max_queued_requests=8)
    (refused,) = all_of(Handle([error]), ask())
    assert refused.retry_after_seconds == 1


def test_whoever_finds_no_place_waits_and_the_next_is_turned_away():
    async def go():
        engine = remote(Handle([]), places=1, most_waiting=1)
        engine._answer = Handle(ANSWER * 2)
        first, second = engine.answer(ask()), engine.answer(ask())
        assert await anext(first) == ANSWER[0]
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.sleep(0.01)
        assert (waiting.done(), engine._admission.num_waiting) == (False, 1)
        (refused,) = [answer async for answer in engine.answer(ask())]
        assert refused.status == 429
        await first.aclose()
        assert isinstance(await waiting, type(ANSWER[1]))
        await second.aclose()
        assert engine._admission.num_waiting == 0

    asyncio.run(go())


def test_whoever_gives_up_waiting_leaves_the_place_to_others():
    async def go():
        engine = remote(Handle(ANSWER), places=1, most_waiting=5)
        first, second = engine.answer(ask()), engine.answer(ask())
        await anext(first)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(second)
        assert engine._admission.num_waiting == 0
        await first.aclose()
        async with asyncio.timeout(1.0):
            assert [answer async for answer in engine.answer(ask())] == ANSWER[1:]

    asyncio.run(go())
