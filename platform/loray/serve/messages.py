"""What passes between the HTTP side and the engine side: small frozen values that pickle."""

from dataclasses import dataclass
from typing import TypeAlias

from loray.serve.catalog import AdapterVersion


@dataclass(frozen=True)
class Ask:
    """One request to the engine, checked as far as it can be without a tokenizer."""

    request_id: str
    """Made here, never the client's: two requests cannot share one."""
    turns: tuple[tuple[str, str], ...]
    """Role and content; the single role `text` is a raw prompt."""
    adapter: AdapterVersion | None
    """None asks the base model itself."""
    max_new_tokens: int | None
    """None takes what the context leaves, up to the server's limit."""
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    deadline_seconds: float
    """Left from now on; a duration, because clocks of two machines differ."""
    include_reasoning: bool = False
    """Send what stands in the think block too, beside the answer's text."""


@dataclass(frozen=True)
class Refused:
    """Why there is no answer, or no more of it."""

    status: int
    """HTTP status, when nothing was sent yet."""
    code: str
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None


@dataclass(frozen=True)
class Accepted:
    """The prompt fits and the adapter is in memory; text follows."""

    num_prompt_tokens: int


@dataclass(frozen=True)
class Piece:
    """Some more of the answer's text; what several tokens gave."""

    text: str
    reasoning: str = ""
    """Of the think block before the text, where it was asked for."""


@dataclass(frozen=True)
class Finished:
    """The end of an answer."""

    finish_reason: str
    """`stop` or `length`."""
    num_new_tokens: int
    mean_entropy: float | None
    """Nats a token, of the model's own distribution; None when no token was made."""


Answer: TypeAlias = Accepted | Piece | Finished | Refused
"""`Accepted`, some `Piece`s, `Finished`; `Refused` may come in place of any and is the last."""
