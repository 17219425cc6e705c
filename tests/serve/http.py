"""Clients of an ASGI application in this process."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx


def call(app: Callable, method: str, path: str, **options: Any) -> httpx.Response:
    """One request, to its end."""

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://loray") as client:
            return await client.request(method, path, **options)

    return asyncio.run(go())


def chat(app: Callable, **fields: Any) -> httpx.Response:
    """A chat completion; `content` is the user's turn."""
    content = fields.pop("content", "hello")
    body = {"model": "poet", "messages": [{"role": "user", "content": content}], **fields}
    return call(app, "POST", "/v1/chat/completions", json=body)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream that ended as it should."""
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


class Caller:
    """A client on the other end of one ASGI call, who may hang up."""

    def __init__(self, app: Callable, body: dict[str, Any], path: str = "/v1/chat/completions"):
        self._app = app
        self._body = json.dumps(body).encode()
        self._path = path
        self._hung_up = asyncio.Event()
        self._was_sent = False
        self.messages: list[dict[str, Any]] = []

    async def run(self) -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": "POST",
            "path": self._path, "raw_path": self._path.encode(), "query_string": b"",
            "headers": [(b"content-type", b"application/json")], "http_version": "1.1",
            "scheme": "http", "server": ("loray", 80), "client": ("test", 1), "root_path": "",
        }  # fmt: skip
        await self._app(scope, self._receive, self._send)

    def hang_up(self) -> None:
        self._hung_up.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._was_sent:
            self._was_sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
