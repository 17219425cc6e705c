"""What goes into the engine and what comes out of it; needs no torch.

A value is checked when it is made: a `SamplingParams` that exists can be served.
"""

import math
from dataclasses import dataclass
from typing import Literal

from loray.errors import LorayError, RequestError

MAX_TEMPERATURE = 100.0
MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_SEED = 2**63

FinishReason = Literal["stop", "length", "cancelled", "deadline", "error"]
"""`stop`: an end-of-text token or a stop string; `length`: max_new_tokens or the context is full;
`deadline`: the request's own time ran out."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the answer's tokens are chosen.

    Raises:
        RequestError: a value out of range, of the wrong type, or not finite.
    """

    max_new_tokens: int
    temperature: float = 0.0
    """0 takes the likeliest token; else logits are divided by it before the draw."""
    top_p: float = 1.0
    """Draw from the smallest set of likeliest tokens that holds this much probability.
    Source: arXiv:1904.09751, sec. 3.1."""
    seed: int | None = None
    """The same seed gives the same draws, whatever else is in the batch; None is a fresh one."""
    stop: tuple[str, ...] = ()
    """Strings that end the answer; the answer holds neither them nor what follows."""

    def __post_init__(self) -> None:
        _check_int("max_new_tokens", self.max_new_tokens, 1, 2**31)
        _check_number("temperature", self.temperature, 0.0, MAX_TEMPERATURE)
        _check_number("top_p", self.top_p, 0.0, 1.0)
        if self.top_p == 0.0:
            raise RequestError("top_p is 0; wanted a number above 0 and at most 1")
        if self.seed is not None:
            _check_int("seed", self.seed, -MAX_SEED, MAX_SEED)
        _check_stop(self.stop)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One prompt for one adapter.

    Raises:
        RequestError: an empty prompt, or a deadline that is no positive number.
    """

    request_id: str
    """Unlike that of every other request that the engine has at the time."""
    prompt_ids: tuple[int, ...]
    adapter: str | None
    """A key given to `Engine.load_adapter`; None asks the base model."""
    sampling: SamplingParams
    timeout_seconds: float | None = None
    """Counted from `submit`; what was made until then has been sent, and the request ends."""
    keeps_reasoning: bool = False
    """Take the think block that an answer begins with for a part of it."""

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise RequestError("the prompt holds no token; wanted at least one")
        if self.timeout_seconds is not None:
            _check_number("timeout_seconds", self.timeout_seconds, 0.0, 1e9)


@dataclass(frozen=True, slots=True)
class Event:
    """News of one request; the last one, and only that, has a finish reason."""

    request_id: str
    token_ids: tuple[int, ...] = ()
    """New tokens; the one that ended the answer is among them."""
    entropies: tuple[float, ...] = ()
    """Per new token, nats: entropy of the model's distribution, before temperature and top_p."""
    finish_reason: FinishReason | None = None
    error: LorayError | None = None
    """Why, when the finish reason is `error`."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer."""

    text: str
    """Without special tokens, without the stop string, and without `reasoning`."""
    token_ids: tuple[int, ...]
    """All that was generated, the token that ended the answer included."""
    finish_reason: FinishReason
    mean_entropy: float
    """Nats, over `token_ids`; NaN when there are none."""
    reasoning: str = ""
    """What stands in the think block before the text; none where the request keeps it there."""


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a model finds the target tokens of one sequence."""

    nll_sum: float
    """Negative log-likelihood of the targets, nats."""
    num_targets: int


def _check_int(name: str, value: int, least: int, bound: int) -> None:
    if type(value) is not int or not least <= value < bound:
        raise RequestError(f"{name} is {value!r:.80}; wanted a whole number from {least} on")


def _check_number(name: str, value: float, least: float, most: float) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise RequestError(f"{name} is {value!r:.80}; wanted a number from {least:g} to {most:g}")


def _check_stop(stop: tuple[str, ...]) -> None:
    if not isinstance(stop, tuple) or len(stop) > MAX_STOPS:
        raise RequestError(f"stop is {stop!r:.80}; wanted a tuple of at most {MAX_STOPS} strings")
    for text in stop:
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_STOP_CHARS:
            raise RequestError(
                f"a stop string is {text!r:.80}; wanted 1 to {MAX_STOP_CHARS} characters"
            )
