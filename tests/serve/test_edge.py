"""Checklist rows 8, 21 and 30 at the edge."""

import asyncio
import logging

import pytest
from starlette.responses import PlainTextResponse

from loray.serve.edge import CLAIMED_MODEL, PROXY_CALLBACK, Edge, StripSteering, proxy_middlewares
from tests.serve.http import call, chat


async def echo_headers(scope, receive, send):
    text = "\n".join(f"{name.decode()}={value.decode()}" for name, value in scope["headers"])
    await PlainTextResponse(text)(scope, receive, send)


@pytest.mark.parametrize(
    "name",
    [
        "x-request-timeout-seconds", "X-Request-Timeout-Seconds", "x_request_timeout_seconds",
        "x-request-disconnect-disabled", "x-session-id",
    ],
)  # fmt: skip
def test_headers_that_steer_ray_are_taken_off(name):
    for app in (StripSteering(echo_headers), Edge(echo_headers, adds_request_id=True)):
        headers = call(app, "GET", "/", headers={name: "0", "x-mine": "1"}).text.lower()
        assert "x-mine=1" in headers
        assert name.lower() not in headers


@pytest.mark.parametrize("name", ["serve_multiplexed_model_id", "Serve-Multiplexed-Model-Id"])
def test_a_claimed_model_is_put_aside_once_and_for_all(name):
    app = StripSteering(Edge(echo_headers, adds_request_id=True))  # the proxy, then the ingress
    headers = call(app, "GET", "/", headers={name: "../../etc/passwd"}).text
    assert "multiplexed" not in headers.lower()
    assert f"{CLAIMED_MODEL}=../../etc/passwd" in headers


def test_ids_unfit_for_a_log_are_replaced():
    for unfit in ("a" * 129, "a b", "a\x1b[31m", ""):
        app = StripSteering(echo_headers)
        assert "x-request-id" not in call(app, "GET", "/", headers={"x-request-id": unfit}).text


def test_ray_finds_the_middlewares_by_the_path_we_give_it():
    from ray._common.utils import import_attr

    assert import_attr(PROXY_CALLBACK[1]) is proxy_middlewares
    (middleware,) = proxy_middlewares()
    assert middleware.cls is StripSteering


def test_an_exception_is_a_500_in_shape_and_its_message_is_in_no_log(house, caplog, monkeypatch):
    canary = "canary-in-an-exception"

    def fail(ask):
        raise RuntimeError(f"cannot do {canary}")

    monkeypatch.setattr(house.answerer, "answer", fail)
    with caplog.at_level(logging.DEBUG):
        response = chat(house.app(), content=canary)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert canary not in response.text
    assert "RuntimeError" in caplog.text
    assert canary not in caplog.text


def test_a_refused_request_leaves_nothing_of_its_prompt_in_the_log(house, caplog):
    canary = "canary-in-a-prompt"
    with caplog.at_level(logging.DEBUG):
        chat(house.app(), content=canary, max_tokens=-1)
        chat(house.app(), content=[canary])
        chat(house.app(), content=canary * 50)
        chat(house.app(), content=canary)
    assert canary not in caplog.text


def test_other_protocols_pass_through():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Edge(app, adds_request_id=True)({"type": "lifespan"}, None, None))
    asyncio.run(StripSteering(app)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan", "lifespan"]
