"""Refusals in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

from typing import Any

from loray.serve.messages import Refused

_TYPES = {
    404: "invalid_request_error",
    408: "timeout_error",
    429: "rate_limit_error",
    504: "timeout_error",
}


class RefusedError(Exception):
    """Carries a refusal out of whatever found it, to the one place that answers with it."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)  # the message may quote the request: it stays out of logs
        self.refused = refused


def bad_value(param: str, message: str, code: str = "invalid_value") -> RefusedError:
    """A 400 for the request field `param`."""
    return RefusedError(Refused(400, code, message, param))


def unknown_model() -> Refused:
    """A 404 that tells nobody whether the name exists for somebody else."""
    return Refused(
        404,
        "model_not_found",
        "no such model is served here; GET /v1/models lists those that are, "
        "as name, name@version or name@alias",
        "model",
    )


def too_late(seconds: float) -> Refused:
    """A 504: the deadline passed before the answer was complete."""
    return Refused(
        504,
        "deadline_exceeded",
        f"no complete answer within the server's {seconds:g} s; "
        "ask for fewer tokens with max_tokens, or try again when it is less busy",
    )


def too_busy(retry_after_seconds: int = 1) -> Refused:
    """A 429: more requests wait than the server lets wait."""
    return Refused(
        429,
        "too_many_requests",
        f"too many requests are waiting; try again in {retry_after_seconds} s",
        retry_after_seconds=retry_after_seconds,
    )


def server_fault() -> Refused:
    """A 500 that says nothing of the inside; the log has the request's id."""
    return Refused(
        500, "internal_error", "the server failed; its log names this request by x-request-id"
    )


def unavailable(message: str) -> Refused:
    """A 503: worth trying again."""
    return Refused(503, "unavailable", message, retry_after_seconds=1)


def error_body(refused: Refused) -> dict[str, Any]:
    """The response body, or the last event of a stream that already began."""
    fallback = "server_error" if refused.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": refused.message,
            "type": _TYPES.get(refused.status, fallback),
            "param": refused.param,
            "code": refused.code,
        }
    }


def error_headers(refused: Refused) -> dict[str, str]:
    """Headers that belong to the refusal."""
    if refused.retry_after_seconds is None:
        return {}
    return {"retry-after": str(refused.retry_after_seconds)}
