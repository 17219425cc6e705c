"""The bodies of `/v1/chat/completions` and `/v1/completions`, closed.

A field of OpenAI's that loray does not have is taken at the value that changes nothing, so that
clients which always send it work; at any other value it is refused, never ignored.
Source: OpenAI's API reference, "Create chat completion" and "Create completion".
"""

import difflib
import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from loray.serve.refusals import RefusedError, bad_value
from loray.spec.base import StrictModel

MAX_STOPS = 4
MAX_STOP_CHARS = 256

Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)]


class StreamOptions(StrictModel):
    """What a stream carries besides text."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Taken and not done: padding against traffic analysis is for TLS to add."""


class TextPart(StrictModel):
    """A part of a message's content; loray reads text only."""

    type: Literal["text"]
    text: str


class Message(StrictModel):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    name: Annotated[str, Field(max_length=64)] | None = None
    """Taken and not shown to the model: no chat template has a place for it."""

    @property
    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class GenerationRequest(StrictModel):
    """What both endpoints share."""

    model: Annotated[str, Field(min_length=1, max_length=512)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    """OpenAI's default; 0 picks the likeliest token every time."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings, none or several."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(GenerationRequest):
    """Body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    include_reasoning: bool = False
    """Not OpenAI's, but vLLM's: send the think block as `reasoning_content`."""


class CompletionRequest(GenerationRequest):
    """Body of `POST /v1/completions`."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


_NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "store": (False,),
    "metadata": ({},),
    "service_tier": ("auto", "default"),
    "safety_identifier": (),
    "prompt_cache_key": (),
    "prompt_cache_retention": (),
}
_NEUTRAL_CHAT: dict[str, tuple[object, ...]] = {
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "moderation": (),
}
_NEUTRAL_COMPLETION: dict[str, tuple[object, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
}
_FREE = ("safety_identifier", "prompt_cache_key", "prompt_cache_retention")
"""Hints about the caller or the cache: any text changes nothing."""

_WANTED = {
    "model": "a text of 1 to 512 characters",
    "messages": "a list of 1 to 1024 objects with role and content",
    "role": "system, developer, user or assistant",
    "content": "a string, or a list of {type: text, text: ...}",
    "prompt": "a string, or a list of one string",
    "stream": "true or false",
    "include_reasoning": "true or false",
    "stream_options": "an object with include_usage: true or false",
    "temperature": "a number from 0 to 2",
    "top_p": "a number above 0 and at most 1",
    "seed": "a whole number of 64 bits",
    "stop": f"1 to {MAX_STOPS} strings of 1 to {MAX_STOP_CHARS} characters",
    "user": "a text of at most 512 characters",
}

R = TypeVar("R", bound=GenerationRequest)


def parse_chat(body: dict[str, Any], *, max_new_tokens: int) -> ChatRequest:
    """The checked body of `/v1/chat/completions`.

    Raises:
        RefusedError: a field is unknown, of a bad value, or one that loray does not have.
    """
    request = _parse(ChatRequest, body, _NEUTRAL | _NEUTRAL_CHAT, max_new_tokens)
    if request.messages[-1].role != "user":
        raise bad_value(
            "messages",
            f"the last message is from {request.messages[-1].role!r}; "
            "end with the user's turn that is to be answered",
        )
    if request.max_tokens and request.max_completion_tokens not in (None, request.max_tokens):
        raise bad_value(
            "max_tokens",
            f"max_tokens is {request.max_tokens}, max_completion_tokens is "
            f"{request.max_completion_tokens}; they mean the same, give one",
        )
    return request


def parse_completion(body: dict[str, Any], *, max_new_tokens: int) -> CompletionRequest:
    """The checked body of `/v1/completions`.

    Raises:
        RefusedError: as `parse_chat`.
    """
    return _parse(CompletionRequest, body, _NEUTRAL | _NEUTRAL_COMPLETION, max_new_tokens)


def _parse(
    kind: type[R], body: dict[str, Any], neutral: dict[str, tuple[object, ...]], max_new_tokens: int
) -> R:
    for field, values in neutral.items():
        if field in body:
            _check_neutral(field, body[field], values)
    known = {field: value for field, value in body.items() if field not in neutral}
    wanted = _WANTED | dict.fromkeys(
        ("max_tokens", "max_completion_tokens"), f"a whole number from 1 to {max_new_tokens}"
    )
    try:
        request = kind.model_validate(known)
    except ValidationError as error:
        raise _first_fault(kind, known, error, wanted) from None
    if request.stream_options is not None and not request.stream:
        raise bad_value("stream_options", "stream_options is for streams; add stream: true")
    for field in ("max_tokens", "max_completion_tokens"):
        value = getattr(request, field, None)
        if value is not None and value > max_new_tokens:
            raise bad_value(field, f"{field} is {_found(value)}; wanted {wanted[field]}")
    return request


def _check_neutral(field: str, value: object, values: tuple[object, ...]) -> None:
    if value is None or any(_is_same(value, allowed) for allowed in values):
        return
    if field in _FREE and isinstance(value, str):
        return
    allowed = " or ".join(map(json.dumps, values))
    wanted = f"leave it out, or send {allowed}" if allowed else "leave it out"
    raise bad_value(
        field, f"{field} is {_found(value)}, which this server does not do; {wanted}", "unsupported"
    )


def _is_same(value: object, allowed: object) -> bool:
    """Equal, where true is not 1 and 0.0 is 0."""
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)


def _first_fault(
    kind: type[GenerationRequest],
    body: dict[str, Any],
    error: ValidationError,
    wanted: dict[str, str],
) -> RefusedError:
    fault = error.errors(include_url=False, include_context=False)[0]
    names, value = _follow(body, fault["loc"])
    if fault["type"] == "missing":
        names.append(str(fault["loc"][-1]))
    path = ".".join(names)[:200]
    meant = next((wanted[name] for name in reversed(names) if name in wanted), "another value")
    if fault["type"] == "missing":
        return bad_value(path, f"{path} is missing; wanted {meant}", "missing_value")
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(names[0], kind.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close and len(names) == 1 else "leave it out"
        return bad_value(path, f"{path!a} is unknown; {hint}", "unknown_field")
    return bad_value(path, f"{path} is {_found(value)}; wanted {meant}")


def _follow(body: object, location: tuple[int | str, ...]) -> tuple[list[str], object]:
    """Names on the way to pydantic's location and the value there; union members are no names."""
    names: list[str] = []
    value = body
    for part in location:
        match value:
            case dict() if part in value:
                value = value[part]
            case list() if isinstance(part, int):
                value = value[part]
            case _:
                continue
        names.append(str(part))
    return names, value


def _found(value: object) -> str:
    """A value as a message shows it: numbers as they are, of texts only the length."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            short = len(value) <= 16 and value.isidentifier()
            return repr(value) if short else f"a text of {len(value)} characters"
        case list():
            return f"a list of {len(value)}" if value else "[]"
        case dict():
            return f"an object of {len(value)} fields" if value else "{}"
        case _:
            return str(value)[:40]
