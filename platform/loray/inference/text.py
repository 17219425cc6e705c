"""Token ids to text while they arrive; needs no torch."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

from loray.inference.request import GenerateRequest
from loray.models.thinking import ThinkMarks, begins_thinking, think_marks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer shows for bytes that are no UTF-8, be it only because more are to come."""


class Decoder(Protocol):
    """The one method of a tokenizer that is used."""

    def decode(self, token_ids: list[int], skip_special_tokens: bool = ...) -> str | list[str]:  # noqa: FBT001
        """The text of one list of token ids; transformers answers a list of lists with a list."""
        ...


class TextStream:
    """Turns token ids into pieces of text; together they are the text of all of them.

    A character whose bytes are spread over tokens is given out whole. With stop strings, what may
    be the beginning of one is kept back until it is known, and nothing follows the first one.

    Source: https://huggingface.co/docs/tokenizers (decoders look at neighbours, so a token is
    decoded together with those before it).
    """

    def __init__(self, tokenizer: Decoder, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stops = StopFinder(stop)
        self._window: list[int] = []
        """Tokens still looked at: those of the last piece, then those that came since."""
        self._settled = 0
        """Tokens of the window whose text is out."""
        self._given = 0
        """Characters of the window's text that are out."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found; tokens after that bring no text."""
        return self._stops.found

    def push(self, token_ids: Iterable[int]) -> str:
        """The text that `token_ids` bring, as far as later tokens cannot change it."""
        pieces = []
        for token_id in token_ids:
            if self.stopped:
                break
            self._window.append(token_id)
            pieces.append(self._stops.cut(self._settle(self._decode())))
        return "".join(pieces)

    def finish(self) -> str:
        """What was kept back: an unfinished character, or a stop string's beginning."""
        if self.stopped:
            return ""
        piece = self._stops.cut(self._decode()[self._given :])
        self._window, self._settled, self._given = [], 0, 0
        return piece + self._stops.finish()

    def _decode(self) -> str:
        return cast("str", self._tokenizer.decode(self._window, skip_special_tokens=True))

    def _settle(self, text: str) -> str:
        """The part of the window's text that is new and final."""
        final = text.rstrip(REPLACEMENT)  # what is cut off may wait for bytes still to come
        piece = final[self._given :]
        self._given = max(self._given, len(final))
        if piece and final == text:
            # Tokens before the ones just settled can no longer change how the next ones decode.
            del self._window[: self._settled]
            self._settled = len(self._window)
            self._given = len(self._decode())
        return piece


class StopFinder:
    """Cuts a text that comes in pieces at the first stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._kept = ""
        """Text that may be the beginning of a stop string."""
        self.found = False

    def cut(self, piece: str) -> str:
        """`piece` after what was kept, up to a stop string or what may become one."""
        if not self._stop or self.found:
            return "" if self.found else piece
        text = self._kept + piece
        found = [at for at in map(text.find, self._stop) if at >= 0]
        if found:
            self.found, self._kept = True, ""
            return text[: min(found)]
        kept = max(_overlap(text, stop) for stop in self._stop)
        self._kept = text[len(text) - kept :]
        return text[: len(text) - kept]

    def finish(self) -> str:
        """What was kept and is no stop string."""
        kept, self._kept = self._kept, ""
        return kept


class Said(NamedTuple):
    """What some tokens bring."""

    text: str = ""
    reasoning: str = ""


class AnswerStream:
    """`TextStream`, with the reasoning that an answer begins with told from the answer.

    Stop strings end the answer alone. White space around the reasoning belongs to the marks.
    """

    def __init__(
        self,
        tokenizer: Decoder,
        stop: Sequence[str] = (),
        marks: ThinkMarks | None = None,
        *,
        is_thinking: bool = False,
    ) -> None:
        """Begin an answer.

        Args:
            marks: of the model's think blocks; None takes all that it writes for the answer.
            is_thinking: whether the prompt ends within a think block.
        """
        self._texts = TextStream(tokenizer)
        self._stops = StopFinder(stop)
        self._marks = marks or ThinkMarks("", "")
        self._place: Literal["before", "thinking", "after", "answer"] = "answer"
        if marks is not None:
            self._place = "thinking" if is_thinking else "before"
        self._kept = ""
        """Text of which it is not known yet what it is."""
        self._has_thought = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found; tokens after that bring no text."""
        return self._stops.found

    def push(self, token_ids: Iterable[int]) -> Said:
        """What `token_ids` bring, as far as later tokens cannot change it."""
        found = [self._sorted(self._piece(token)) for token in token_ids]
        return Said("".join(said.text for said in found), "".join(s.reasoning for s in found))

    def finish(self) -> Said:
        """What was kept back."""
        said = self._sorted(self._texts.finish(), is_end=True)
        return Said(said.text + self._stops.finish(), said.reasoning)

    def _piece(self, token: int) -> str:
        """The text of a token; a mark is shown, be it special or not."""
        if self._place in ("before", "thinking"):
            if token == self._marks.opening_id:
                return self._texts.finish() + self._marks.opening
            if token == self._marks.closing_id:
                return self._texts.finish() + self._marks.closing
        return self._texts.push([token])

    def _sorted(self, piece: str, *, is_end: bool = False) -> Said:
        text, self._kept = self._kept + piece, ""
        if self._place == "before":
            bare = text.lstrip()
            if self._marks.opening.startswith(bare) and bare != self._marks.opening and not is_end:
                self._kept = text
                return Said()
            is_thought = bare.startswith(self._marks.opening)
            self._place = "thinking" if is_thought else "answer"
            text = bare.removeprefix(self._marks.opening) if is_thought else text
        reasoning = ""
        if self._place == "thinking":
            reasoning, text = self._thought(text, is_end=is_end)
        if self._place == "after":
            text = text.lstrip()
            self._place = "answer" if text else "after"
        return Said(self._stops.cut(text) if self._place == "answer" else "", reasoning)

    def _thought(self, text: str, *, is_end: bool) -> tuple[str, str]:
        """The reasoning in `text`, and what follows it."""
        thought, mark, rest = text.partition(self._marks.closing)
        if mark:
            self._place = "after"
        elif not is_end:
            held = len(thought) - _overlap(thought, self._marks.closing)
            held = len(thought[:held].rstrip())
            thought, self._kept = thought[:held], thought[held:]
        if mark or is_end:
            thought = thought.rstrip()
        if not self._has_thought:
            thought = thought.lstrip()
            self._has_thought = bool(thought)
        return thought, rest


def answer_stream(tokenizer: "PreTrainedTokenizerBase", request: GenerateRequest) -> AnswerStream:
    """What turns the tokens of a request's answer into its text and its reasoning."""
    marks = None if request.keeps_reasoning else think_marks(tokenizer)
    return AnswerStream(
        cast("Decoder", tokenizer),
        request.sampling.stop,
        marks,
        is_thinking=begins_thinking(tokenizer, request.prompt_ids, marks),
    )


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`, but not all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
