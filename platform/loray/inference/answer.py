"""The events of one request, gathered into a completion."""

from threading import Event as Flag
from typing import TYPE_CHECKING

from loray.inference.request import Completion, Event, GenerateRequest
from loray.inference.text import answer_stream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Answer:
    """What became of one of `generate`'s requests."""

    def __init__(self, request: GenerateRequest) -> None:
        self.request = request
        self.ended = Flag()
        self._events: list[Event] = []

    def hear(self, event: Event) -> None:
        """Note an event; called in the engine's thread."""
        self._events.append(event)
        if event.finish_reason is not None:
            self.ended.set()

    def completion(
        self, tokenizer: "PreTrainedTokenizerBase", end_tokens: frozenset[int]
    ) -> Completion:
        """The finished answer.

        Raises:
            EngineError: the engine failed on it, or was closed.
        """
        last = self._events[-1]
        if last.error is not None:
            raise last.error
        ids = [token for event in self._events for token in event.token_ids]
        entropies = [value for event in self._events for value in event.entropies]
        mean = sum(entropies) / len(entropies) if entropies else float("nan")
        shown = ids[:-1] if ids and ids[-1] in end_tokens else ids
        stream = answer_stream(tokenizer, self.request)
        said, rest = stream.push(shown), stream.finish()
        return Completion(
            said.text + rest.text,
            tuple(ids),
            last.finish_reason or "error",
            mean,
            said.reasoning + rest.reasoning,
        )
