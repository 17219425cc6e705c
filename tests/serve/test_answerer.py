import asyncio
import time

import pytest

from loray.errors import EngineError
from loray.inference import Event
from loray.serve.messages import Accepted, Ask, Finished, Piece, Refused
from loray.serve.news import News
from tests.serve.echo import version_of


def ask(content="hello", **fields) -> Ask:
    values = {
        "request_id": "r1", "turns": (("user", content),), "adapter": None, "max_new_tokens": None,
        "temperature": 1.0, "top_p": 1.0, "seed": None, "stop": (), "deadline_seconds": 5.0,
    }  # fmt: skip
    return Ask(**values | fields)


def answers(house, *asks: Ask) -> list[list]:
    async def one(wanted):
        return [answer async for answer in house.answerer.answer(wanted)]

    async def go():
        return await asyncio.gather(*map(one, asks))

    return asyncio.run(go())


def text(said: list) -> str:
    return "".join(item.text for item in said if isinstance(item, Piece))


def test_characters_of_several_tokens_come_whole(house):
    content = "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve \N{GRINNING FACE} " * 3
    (said,) = answers(house, ask(content))
    assert text(said) == f"base|{content}"
    assert all("\N{REPLACEMENT CHARACTER}" not in item.text for item in said[1:-1])


def test_an_answer_has_a_beginning_pieces_and_an_end(house):
    (said,) = answers(house, ask("x" * 30))
    assert isinstance(said[0], Accepted)
    assert all(isinstance(item, Piece) for item in said[1:-1])
    assert said[-1] == Finished("stop", 30 + len("base|") + 3 + 1, 0.5)
    assert len(said) - 2 <= 12


def test_the_token_that_ends_an_answer_is_no_text_even_if_it_is_no_special_token(house, tokenizer):
    letter = tokenizer.encode("o", add_special_tokens=False)[0]
    house.engine.end_tokens = frozenset({letter})
    (said,) = answers(house, ask("hello", max_new_tokens=len("base|") + 1 + len("hello")))
    assert text(said) == "base|hell"


def test_more_versions_than_slots_are_all_answered(house):
    asks = [
        ask("hi", request_id=f"r{n}", adapter=version_of(name, number))
        for n, (name, number) in enumerate([("poet", 1), ("poet", 2), ("critic", 1), ("critic", 2)])
    ]
    house.engine.step_seconds = 0.001
    for wanted, said in zip(asks, answers(house, *asks), strict=True):
        assert text(said) == f"{wanted.adapter.name}-{wanted.adapter.version}|hi"
    assert house.engine.num_loads == 4


def test_closing_the_answers_cancels_the_request(house):
    house.engine.step_seconds = 0.01

    async def go():
        said = house.answerer.answer(ask("x" * 60))
        assert isinstance(await anext(said), Accepted)
        assert isinstance(await anext(said), Piece)
        await said.aclose()
        await asyncio.sleep(0.1)

    asyncio.run(go())
    assert house.engine.running == []


def test_an_engine_that_says_nothing_is_given_up_on(house, monkeypatch):
    monkeypatch.setattr("loray.serve.answerer.GRACE_SECONDS", 0.05)
    house.engine.may_step.clear()
    (said,) = answers(house, ask(deadline_seconds=0.1))
    assert isinstance(said[0], Accepted)
    assert (said[1].status, said[1].code) == (504, "deadline_exceeded")


def test_a_load_that_takes_too_long_is_given_up_on_and_goes_on_for_the_next(house):
    house.engine.load_seconds = 0.2
    poet = version_of("poet", 1)
    (said,) = answers(house, ask(adapter=poet, deadline_seconds=0.05))
    assert [item.status for item in said] == [504]

    async def patient():
        first = house.answerer.answer(ask(adapter=poet, deadline_seconds=0.05))
        await anext(first)
        return [item async for item in house.answerer.answer(ask(adapter=poet, request_id="r2"))]

    assert text(asyncio.run(patient())).startswith("poet-1|")


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        (Event("r1", finish_reason="deadline"), 504, "deadline_exceeded"),
        (Event("r1", finish_reason="cancelled"), 503, "unavailable"),
        (Event("r1", finish_reason="error", error=EngineError("NaN")), 503, "unavailable"),
    ],
)
def test_an_end_that_is_none_becomes_a_refusal(house, monkeypatch, event, status, code):
    monkeypatch.setattr(house.engine, "submit", lambda request, on_event: on_event(event))
    (said,) = answers(house, ask())
    assert isinstance(said[-1], Refused)
    assert (said[-1].status, said[-1].code) == (status, code)


def test_an_unknown_role_for_the_template_is_the_clients_fault(house):
    (said,) = answers(house, ask(turns=(("juggler", "hop"),)))
    assert [item.status for item in said] == [400]


def test_an_idle_engine_proves_that_it_lives_by_a_token(house):
    asyncio.run(house.answerer.decode_one(within_seconds=2.0))
    house.engine.may_step.clear()
    house.answerer._last_news = float("-inf")
    with pytest.raises(TimeoutError):
        asyncio.run(house.answerer.decode_one(within_seconds=0.1))


def test_a_busy_engine_is_not_asked_for_more(house):
    answers(house, ask())
    house.engine.may_step.clear()
    asyncio.run(house.answerer.decode_one(within_seconds=2.0))
    assert house.engine.running == []


def test_news_waits_for_company_but_not_for_long():
    async def go():
        news = News()
        for number in range(20):
            news.post(Event("r", (number,), (0.1,)))
        first = await news.next()
        second = await news.next()
        began = time.monotonic()
        third = await news.next()
        return [len(e.token_ids) for e in (first, second, third)], time.monotonic() - began

    sizes, seconds = asyncio.run(go())
    assert sizes == [8, 8, 4]
    assert seconds < 0.5
