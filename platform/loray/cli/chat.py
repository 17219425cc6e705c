"""`loray chat`: talk to a served adapter; needs no torch, no Ray and no client library."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from loray.cli.options import Number
from loray.cli.output import harmless, say
from loray.errors import LorayError, RequestError

if TYPE_CHECKING:
    from http.client import HTTPResponse

Turn = dict[str, str]


@click.command()
@click.argument("model")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The server.")
@click.option("--message", "-m", help="Ask this, print the answer and end.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer.")
@click.option("--temperature", type=Number(0.0, 2.0), default=0.0, show_default=True)
def chat(
    model: str, url: str, message: str | None, max_tokens: int | None, temperature: float
) -> None:
    """Talk to MODEL, such as my-bot, my-bot@3 or my-bot@champion; end with an empty line."""
    settings: dict[str, object] = {"model": model, "temperature": temperature}
    if max_tokens is not None:
        settings["max_tokens"] = max_tokens
    turns: list[Turn] = []
    for question in [message] if message is not None else _questions():
        turns.append({"role": "user", "content": question})
        answer = ""
        for piece in stream_answer(url, {**settings, "messages": turns}):
            answer += piece
            click.echo(harmless(piece), nl=False)
            sys.stdout.flush()
        say()
        turns.append({"role": "assistant", "content": answer})


def stream_answer(url: str, body: dict[str, object]) -> Iterator[str]:
    """The pieces of an answer as the server makes them.

    Raises:
        RequestError: the server refused the request; its own words are in the message.
        LorayError: the server cannot be reached, or broke off.
    """
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=600)
    try:
        connection.request(
            "POST",
            f"{parts.path.rstrip('/')}/v1/chat/completions",
            json.dumps({**body, "stream": True}),
            {"content-type": "application/json", "accept": "text/event-stream"},
        )
        response = connection.getresponse()
        if response.status != 200:
            raise RequestError(_refusal(response))
        yield from _pieces(response)
    except (OSError, HTTPException) as error:
        raise LorayError(
            f"{url} does not answer ({error}); start it with `loray serve SPEC`, or give --url"
        ) from error
    finally:
        connection.close()


def _pieces(response: "HTTPResponse") -> Iterator[str]:
    """The text in a stream of server-sent events. Source: HTML Standard, section 9.2."""
    for line in response:
        data = line.decode("utf-8").strip().removeprefix("data:").strip()
        if not line.startswith(b"data:") or data == "[DONE]":
            continue
        event = json.loads(data)
        if "error" in event:
            raise RequestError(str(event["error"].get("message", "the server broke off")))
        for choice in event.get("choices", ()):
            yield choice.get("delta", {}).get("content") or ""


def _refusal(response: "HTTPResponse") -> str:
    text = response.read(65536).decode("utf-8", "replace")
    try:
        return f"{json.loads(text)['error']['message']} (HTTP {response.status})"
    except (ValueError, KeyError, TypeError):
        return f"the server answered HTTP {response.status}: {text[:200]}"


def _questions() -> Iterator[str]:
    """Lines from the keyboard, or from what was piped in, until an empty one."""
    while True:
        try:
            question = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        if not question.strip():
            return
        yield question
