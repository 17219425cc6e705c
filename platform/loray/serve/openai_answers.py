"""The bodies that answer, in the shapes of OpenAI's API, and the framing of streams.

`model` names the exact version that answered, as OpenAI names the snapshot behind a model's name;
`system_fingerprint` is the start of its digest.
Source: OpenAI's API reference, "The chat completion object", "The chat completion chunk object".
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from loray.serve.catalog import AdapterVersion
from loray.serve.messages import Finished, Piece

FINGERPRINT_CHARS = 16
STREAM_END = b"data: [DONE]\n\n"

Endpoint = Literal["chat", "completion"]


@dataclass(frozen=True)
class BaseIdentity:
    """The base model as clients see it."""

    name: str
    digest: str
    created: int
    """Seconds since 1970; when this server started."""


@dataclass(frozen=True)
class Answering:
    """What every body of one answer repeats."""

    endpoint: Endpoint
    answer_id: str
    model: str
    digest: str
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Piece, finished: Finished, num_prompt_tokens: int) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        text = answer.text
        message = {"role": "assistant", "content": text, "refusal": None, **_reasoning(answer)}
        said = {"message": message}
        choice: dict[str, Any] = said if self.endpoint == "chat" else {"text": text}
        kind = "chat.completion" if self.endpoint == "chat" else "text_completion"
        return {
            **self._head(kind),
            "choices": [{**_choice(finished.finish_reason), **choice}],
            "usage": usage(num_prompt_tokens, finished.num_new_tokens),
            "loray": self._loray(finished),
        }

    def opening(self) -> Iterator[dict[str, Any]]:
        """Chunks before any text; a chat's first one names the role."""
        if self.endpoint == "chat":
            yield self._chunk({"role": "assistant", "content": "", "refusal": None}, None)

    def piece(self, said: Piece) -> dict[str, Any]:
        """A chunk of text, or of the reasoning before it."""
        if self.endpoint != "chat":
            return self._chunk(said.text, None)
        content = {"content": said.text} if said.text else {}
        return self._chunk({**_reasoning(said), **content}, None)

    def closing(
        self, finished: Finished, num_prompt_tokens: int, *, includes_usage: bool
    ) -> Iterator[dict[str, Any]]:
        """The chunk with the reason of the end, and the token counts when they were asked for."""
        last = self._chunk({} if self.endpoint == "chat" else "", finished.finish_reason)
        yield {**last, "loray": self._loray(finished)}
        if includes_usage:
            counts = usage(num_prompt_tokens, finished.num_new_tokens)
            yield {**self._head(self._chunk_kind), "choices": [], "usage": counts}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.endpoint == "chat" else "text_completion"

    def _chunk(self, said: dict[str, Any] | str, finish_reason: str | None) -> dict[str, Any]:
        key = "delta" if self.endpoint == "chat" else "text"
        return {
            **self._head(self._chunk_kind),
            "choices": [{**_choice(finish_reason), key: said}],
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.answer_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.digest[:FINGERPRINT_CHARS],
        }

    def _loray(self, finished: Finished) -> dict[str, Any]:
        return {
            "adapter": self.model,
            "digest": self.digest,
            "mean_entropy_nats": finished.mean_entropy,
        }


def usage(num_prompt_tokens: int, num_new_tokens: int) -> dict[str, int]:
    """Token counts."""
    return {
        "prompt_tokens": num_prompt_tokens,
        "completion_tokens": num_new_tokens,
        "total_tokens": num_prompt_tokens + num_new_tokens,
    }


def model_card(ref: str, base: BaseIdentity, version: AdapterVersion | None) -> dict[str, Any]:
    """What `/v1/models` says of one reference; `version` is None for the base itself."""
    return {
        "id": ref,
        "object": "model",
        "created": version.created if version else base.created,
        "owned_by": "loray",
        "root": version.ref if version else base.name,
        "parent": base.name if version else None,
        "digest": version.digest if version else base.digest,
    }


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event; JSON without line breaks, so one `data:` line holds it.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _reasoning(said: Piece) -> dict[str, str]:
    """As vLLM names it. Source: vLLM's documentation, "Reasoning outputs"."""
    return {"reasoning_content": said.reasoning} if said.reasoning else {}


def _choice(finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "logprobs": None, "finish_reason": finish_reason}
