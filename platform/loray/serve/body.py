"""Request bodies: bounded in bytes and time, and JSON as the standard has it."""

import asyncio
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

from loray.artifacts.strict_json import parse_json
from loray.serve.messages import Refused
from loray.serve.refusals import RefusedError

MAX_DEPTH = 16
BODY_SECONDS = 20.0
"""How long a client may take to send its body."""
BYTES_BESIDE_THE_PROMPT = 64 * 1024
BYTES_PER_TOKEN = 64
"""More than any token of a prompt takes, JSON's escapes included."""


def max_body_bytes(max_context: int) -> int:
    """The largest body whose prompt can still fit into the context."""
    return BYTES_BESIDE_THE_PROMPT + BYTES_PER_TOKEN * max_context


async def read_json(request: Request, *, max_bytes: int) -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        RefusedError: it is too large, too slow, of another media type, or no sound JSON object.
    """
    _check_headers(request, max_bytes)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            data = await _read(request, max_bytes)
    except TimeoutError:
        message = f"the body did not arrive within {BODY_SECONDS:g} s; send it again"
        raise RefusedError(Refused(408, "body_too_slow", message)) from None
    return parse_object(data)


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`; a key twice, NaN, or text that is no Unicode is refused.

    Raises:
        RefusedError: it is something else; the message quotes nothing of it but keys.
    """
    try:
        found = parse_json(data)
    except UnicodeDecodeError:
        raise _bad_json("it is not UTF-8") from None
    except RecursionError:
        raise _bad_json(f"it is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:  # Python's own text on long numbers names its settings
        text = str(error)
        raise _bad_json("a number in it is too long" if "digits" in text else text) from None
    if not isinstance(found, dict):
        raise _bad_json("it is no object")
    fault = _fault(found)
    if fault:
        raise _bad_json(fault)
    return found


def _check_headers(request: Request, max_bytes: int) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        message = f"the media type is {ascii(media_type)[:80]}; send application/json"
        raise RefusedError(Refused(415, "unsupported_media_type", message))
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        message = "compressed bodies are not read; send it without content-encoding"
        raise RefusedError(Refused(415, "unsupported_encoding", message))
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)


async def _read(request: Request, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    num_bytes = 0
    try:
        async for part in request.stream():
            num_bytes += len(part)
            if num_bytes > max_bytes:
                raise _too_large(max_bytes)
            parts.append(part)
    except ClientDisconnect:
        message = "the client went away before its body was there"
        raise RefusedError(Refused(400, "disconnected", message)) from None
    return b"".join(parts)


def _fault(document: object) -> str | None:
    """What is wrong with a parsed document that a JSON parser lets pass."""
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return None
        fault = next((f for f in map(_leaf_fault, level) if f), None)
        if fault:
            return fault
    return f"it is nested more than {MAX_DEPTH} deep"


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _leaf_fault(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "a number in it is too large"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "a string in it has half of a surrogate pair"
    return None


def _bad_json(what: str) -> RefusedError:
    message = f"the body is no sound JSON: {what}; send one JSON object in UTF-8"
    return RefusedError(Refused(400, "invalid_json", message))


def _too_large(max_bytes: int) -> RefusedError:
    message = f"the body is larger than {max_bytes} bytes, which is more than the context holds"
    return RefusedError(Refused(413, "body_too_large", message))
