"""The HTTP API as an ASGI application."""

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from loray.serve.api import Api
from loray.serve.edge import Edge
from loray.serve.messages import Refused
from loray.serve.openai_requests import ChatRequest, CompletionRequest, GenerationRequest
from loray.serve.refusals import RefusedError, error_body, error_headers


def build_app(api: Api, *, adds_request_id: bool = True) -> FastAPI:
    """Routes to what `api` does; every refusal in OpenAI's shape."""
    app = FastAPI(title="loray", docs_url=None, redoc_url=None)
    app.add_api_route(
        "/v1/chat/completions",
        api.chat,
        methods=["POST"],
        response_model=None,
        openapi_extra=_body_schema(ChatRequest),
    )
    app.add_api_route(
        "/v1/completions",
        api.complete,
        methods=["POST"],
        response_model=None,
        openapi_extra=_body_schema(CompletionRequest),
    )
    app.add_api_route("/v1/models", api.models)
    app.add_api_route("/v1/models/{model_id:path}", api.model)
    app.add_api_route("/v1/stats", api.stats)
    app.add_api_route("/healthz", api.health)
    app.add_api_route("/readyz", api.ready)
    app.add_middleware(Edge, adds_request_id=adds_request_id)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return _response(error.refused)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        what = f"{request.method} {ascii(request.url.path)[:200]}"
        message = f"{what} is not there; GET /openapi.json lists what is"
        response = _response(Refused(error.status_code, "no_such_route", message))
        response.headers.update(error.headers or {})
        return response

    return app


def _response(refused: Refused) -> Response:
    return JSONResponse(error_body(refused), refused.status, error_headers(refused))


def _body_schema(kind: type[GenerationRequest]) -> dict[str, Any]:
    """The body for `/openapi.json`; it is read by `body.py`, as FastAPI would take unsound JSON."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
