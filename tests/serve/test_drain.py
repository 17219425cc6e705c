"""A server that is told to stop: newcomers, those in flight, and those that take too long."""

import asyncio
import json

import pytest

from loray.serve.api import Api
from loray.serve.app import build_app
from loray.serve.drain import Drain
from loray.serve.recent_catalog import RecentCatalog
from tests.serve.conftest import BASE, House
from tests.serve.http import Caller, call, chat

IN_FLIGHT = 20


def served(house: House) -> tuple[object, Drain]:
    api = Api(house.spec, BASE, RecentCatalog(house.catalog), house.answerer, house.outcomes.append)
    return build_app(api), api.drain


def body(number: int) -> dict[str, object]:
    turns = [{"role": "user", "content": f"question {number}"}]
    return {"model": "poet", "messages": turns, "stream": bool(number % 2)}


def text_of(caller: Caller) -> str:
    return b"".join(m.get("body", b"") for m in caller.messages).decode()


async def in_flight(house: House, app: object, count: int) -> list[asyncio.Task[None]]:
    """So many callers, half of them streaming, each of whom the engine is answering."""
    callers = [Caller(app, body(number)) for number in range(count)]
    tasks = [asyncio.create_task(caller.run(), name=str(n)) for n, caller in enumerate(callers)]
    for task, caller in zip(tasks, callers, strict=True):
        task.caller = caller
    while len(house.engine.running) < count:
        await asyncio.sleep(0.01)
    return tasks


def test_requests_in_flight_are_finished_and_newcomers_are_refused(house: House) -> None:
    app, drain = served(house)
    house.engine.may_step.clear()

    async def go() -> tuple[list[str], list[Caller], tuple[int, int]]:
        tasks = await in_flight(house, app, IN_FLIGHT)
        stopping = asyncio.create_task(drain.stop(20.0))
        await asyncio.sleep(0.05)
        late = [Caller(app, body(number)) for number in range(4)]
        for caller in late:
            await caller.run()
        house.engine.may_step.set()
        counted = await stopping
        await asyncio.gather(*tasks)
        return [text_of(task.caller) for task in tasks], late, counted

    texts, late, counted = asyncio.run(go())
    assert counted == (IN_FLIGHT, 0)
    for number, text in enumerate(texts):
        if number % 2:
            assert text.endswith("data: [DONE]\n\n")
        else:
            answer = json.loads(text)["choices"][0]["message"]["content"]
            assert answer == f"poet-2|question {number}"
    for caller in late:
        assert caller.messages[0]["status"] == 503
        assert dict(caller.messages[0]["headers"])[b"retry-after"] == b"1"
        refusal = json.loads(text_of(caller))["error"]
        assert refusal["code"] == "unavailable"
        assert "the server is stopping" in refusal["message"]
    assert sorted(o.status for o in house.outcomes) == [200] * IN_FLIGHT


def test_what_takes_too_long_ends_with_an_error_and_no_done(house: House) -> None:
    app, drain = served(house)
    house.engine.step_seconds = 0.05

    async def go() -> tuple[list[str], tuple[int, int]]:
        tasks = await in_flight(house, app, 4)
        while len(tasks[1].caller.messages) < 3:
            await asyncio.sleep(0.01)
        house.engine.may_step.clear()
        counted = await drain.stop(0.1)
        await asyncio.gather(*tasks)
        return [text_of(task.caller) for task in tasks], counted

    texts, counted = asyncio.run(go())
    assert counted == (4, 4)
    for number, text in enumerate(texts):
        assert "the server is stopping; try again" in text
        assert "[DONE]" not in text
        if number % 2:
            assert text.startswith("data: ")
            assert '"code":"unavailable"' in text.rpartition("data: ")[2]
        else:
            assert json.loads(text)["error"]["code"] == "unavailable"
    assert [o.status for o in house.outcomes] == [503] * 4
    house.engine.may_step.set()


def test_an_idle_server_stops_at_once(house: House) -> None:
    _, drain = served(house)
    assert asyncio.run(drain.stop(60.0)) == (0, 0)


def test_a_server_is_ready_while_its_engine_answers_and_it_is_not_stopping(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def there() -> dict[str, object]:
        return {}

    async def gone() -> dict[str, object]:
        raise ConnectionError("no replica")

    app, drain = served(house)
    monkeypatch.setattr(house.answerer, "stats", there)
    assert call(app, "GET", "/readyz").json() == {"status": "ready"}
    drain.is_stopping = True
    assert call(app, "GET", "/readyz").status_code == 503
    assert call(app, "GET", "/healthz").status_code == 200
    assert chat(app).status_code == 503
    drain.is_stopping = False
    monkeypatch.setattr(house.answerer, "stats", gone)
    response = call(app, "GET", "/readyz")
    assert response.status_code == 503
    assert "no engine replica answers yet" in response.json()["error"]["message"]
