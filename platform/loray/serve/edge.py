"""What every request passes first: steering headers are taken off, nothing leaks out.

Ray's proxy obeys headers that any client can send: which model's replica to prefer, how long to
wait (0 switches the server's limit off), whether a client that hangs up is noticed. With
`proxy_middlewares` they come off inside the proxy, before Ray reads them, once `PROXY_CALLBACK`
names it; behind a proxy without it they come off here, where deadline and watch are our own.
"""

import re
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from loray.serve.outcomes import log_failure
from loray.serve.refusals import error_body, server_fault

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROXY_CALLBACK = ("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", f"{__name__}.proxy_middlewares")
"""Environment of Ray's proxy that makes it call `proxy_middlewares`."""
CLAIMED_MODEL = "x-loray-claimed-model"
"""Where a client's `serve_multiplexed_model_id` is put aside; it must agree with the body."""
REQUEST_ID = "x-request-id"

_MODEL_HEADER = b"serve-multiplexed-model-id"
_STEERING = {b"x-request-timeout-seconds", b"x-request-disconnect-disabled", b"x-session-id"}
_SOUND_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class StripSteering:
    """ASGI middleware that takes off headers which steer Ray, and ids unfit for a log."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass the request on without them."""
        if scope["type"] == "http":
            scope = {**scope, "headers": strip_steering(scope["headers"])}
        await self._app(scope, receive, send)


def strip_steering(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """`headers` without those that steer Ray; underscores count as hyphens, as they do there."""
    kept = []
    for name, value in headers:
        plain = name.lower().replace(b"_", b"-")
        if plain == _MODEL_HEADER:
            kept.append((CLAIMED_MODEL.encode(), value))
        elif plain in _STEERING or (plain == REQUEST_ID.encode() and not _is_sound_id(value)):
            continue
        else:
            kept.append((name, value))
    return kept


def proxy_middlewares() -> list[Middleware]:
    """What Ray's proxy puts around itself; named by `PROXY_CALLBACK`."""
    return [Middleware(StripSteering)]


class Edge:
    """The outermost middleware of the API: request ids, and a last wall against exceptions."""

    def __init__(self, app: "ASGIApp", *, adds_request_id: bool) -> None:
        self._app = app
        self._adds_request_id = adds_request_id  # Ray's proxy adds it by itself

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer the request, whatever happens inside."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = strip_steering(scope["headers"])
        request_id = Headers(raw=headers).get(REQUEST_ID) or uuid.uuid4().hex
        scope = {**scope, "headers": headers, "loray.request_id": request_id}
        has_started = False

        async def send_named(message: "Message") -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                if self._adds_request_id:
                    name = (REQUEST_ID.encode(), request_id.encode())
                    message = {**message, "headers": [*message.get("headers", []), name]}
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception as error:  # noqa: BLE001 - the last wall: a client gets a 500 in shape
            log_failure(request_id, error)
            if not has_started:
                await JSONResponse(error_body(server_fault()), 500)(scope, receive, send_named)


def _is_sound_id(value: bytes) -> bool:
    return _SOUND_ID.fullmatch(value.decode("latin-1")) is not None
