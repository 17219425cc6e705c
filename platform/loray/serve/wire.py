"""The way back to one client: a JSON body, or a stream of events."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from loray.serve.messages import Refused
from loray.serve.openai_answers import STREAM_END, event
from loray.serve.refusals import error_body, error_headers

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


@dataclass
class Wire:
    """Sends one response, and knows whether it has begun."""

    scope: "Scope"
    receive: "Receive"
    send: "Send"
    has_begun: bool = False
    is_stream: bool = False

    async def json(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        """The whole response at once."""
        self.has_begun = True
        await JSONResponse(body, status, headers)(self.scope, self.receive, self.send)

    async def begin(self, headers: dict[str, str]) -> None:
        """The head of a stream."""
        self.has_begun = self.is_stream = True
        raw = [(k.encode(), v.encode()) for k, v in {**SSE_HEADERS, **headers}.items()]
        await self.send({"type": "http.response.start", "status": 200, "headers": raw})

    async def events(self, *bodies: dict[str, Any]) -> None:
        """Events of a stream, in one piece."""
        data = b"".join(map(event, bodies))
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """The end of a stream that is complete."""
        await self.send({"type": "http.response.body", "body": STREAM_END, "more_body": False})

    async def refuse(self, refused: Refused) -> None:
        """The refusal, as a response or as the last event; after a whole response, nothing."""
        if not self.has_begun:
            await self.json(refused.status, error_body(refused), error_headers(refused))
        elif self.is_stream:
            data = event(error_body(refused))
            await self.send({"type": "http.response.body", "body": data, "more_body": False})
