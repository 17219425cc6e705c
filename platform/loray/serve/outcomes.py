"""What is kept of each request once it is over: numbers, never words of a prompt."""

import hashlib
import logging
import secrets
import traceback
from dataclasses import dataclass

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""Status of a request whose client hung up before the answer was complete."""

_SALT = secrets.token_bytes(16)


@dataclass(frozen=True)
class Outcome:
    """One request to `/v1/chat/completions` or `/v1/completions`."""

    request_id: str
    model: str
    """The version that answered, the base's name, or `none` when nothing was resolved."""
    status: int
    code: str
    """`stop`, `length`, or the code of the refusal."""
    seconds: float
    first_seconds: float | None
    """From arrival to the first piece of text."""
    num_prompt_chars: int
    prompt_mark: str
    num_prompt_tokens: int
    num_new_tokens: int
    mean_entropy: float | None


def prompt_mark(text: str) -> str:
    """12 hex digits that tell equal prompts of one process apart from others.

    Salted per process, so that a log does not let anybody test a guess.
    """
    return hashlib.blake2b(text.encode(), key=_SALT, digest_size=6).hexdigest()


def log_outcome(outcome: Outcome) -> None:
    """One line a request."""
    logger.info(
        "request %s model=%s status=%d %s %.3fs prompt=%d chars #%s tokens=%d+%d",
        outcome.request_id,
        outcome.model,
        outcome.status,
        outcome.code,
        outcome.seconds,
        outcome.num_prompt_chars,
        outcome.prompt_mark,
        outcome.num_prompt_tokens,
        outcome.num_new_tokens,
    )


def log_failure(request_id: str, error: Exception) -> None:
    """Where it failed and with what kind of error; an error's message may quote a prompt."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("request %s failed with %s\n%s", request_id, type(error).__name__, frames)
