"""Checklist row 19: bodies that are too large, too slow, or no sound JSON."""

import asyncio
import json

import pytest
from starlette.requests import Request

from loray.serve import body
from loray.serve.body import parse_object, read_json
from loray.serve.refusals import RefusedError

JSON = [(b"content-type", b"application/json")]


def read(parts, headers=JSON, max_bytes=100):
    """`read_json` of a request whose body comes in `parts`; None never comes."""
    queue = list(parts)

    async def receive():
        part = queue.pop(0)
        if part is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": bool(queue)}

    request = Request({"type": "http", "headers": headers}, receive)
    return asyncio.run(read_json(request, max_bytes=max_bytes))


def refused_with(call):
    with pytest.raises(RefusedError) as caught:
        call()
    return caught.value.refused


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "Expecting value"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b'{"a": 1', "delimiter"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"x": {"a": 1, "a": 2}}', "twice"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "nested"),
        (b'{"a": ' + b"[" * 100_000, "nested"),
        (b'{"a": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "nested"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number in it is too long;"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
    ],
)
def test_what_is_no_sound_json_object_is_400(data, hint):
    refused = refused_with(lambda: parse_object(data))
    assert (refused.status, refused.code) == (400, "invalid_json")
    assert hint in refused.message


def test_sound_json_is_read_whole():
    document = {"messages": [{"role": "user", "content": "\N{GRINNING FACE} \u2028"}], "n": 1.5}
    assert parse_object(json.dumps(document).encode()) == document


def test_a_body_that_says_it_is_large_is_not_read():
    headers = [*JSON, (b"content-length", b"50000000")]
    assert refused_with(lambda: read([None], headers)).status == 413


def test_a_body_that_lies_about_its_size_is_cut_off():
    headers = [*JSON, (b"content-length", b"10")]
    assert refused_with(lambda: read([b" " * 60, b" " * 60, None], headers)).status == 413


def test_a_slow_body_is_408(monkeypatch):
    """Checklist row 23."""
    monkeypatch.setattr(body, "BODY_SECONDS", 0.05)
    assert refused_with(lambda: read([b"{", None])).status == 408


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [*JSON, (b"content-encoding", b"gzip")],
    ],
)
def test_other_media_types_and_encodings_are_415(headers):
    assert refused_with(lambda: read([b"{}"], headers)).status == 415


def test_a_media_type_may_have_parameters():
    assert read([b"{}"], [(b"content-type", b"Application/JSON; charset=utf-8")]) == {}
