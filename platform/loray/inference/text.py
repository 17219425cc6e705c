"""Token ids to text while they arrive; needs no torch."""

from collections.abc import Iterable, Sequence
from typing import Protocol, cast

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
        self._stop = tuple(stop)
        self._window: list[int] = []
        """Tokens still looked at: those of the last piece, then those that came since."""
        self._settled = 0
        """Tokens of the window whose text is out."""
        self._given = 0
        """Characters of the window's text that are out."""
        self._kept = ""
        """Text that may be the beginning of a stop string."""
        self.stopped = False
        """Whether a stop string was found; tokens after that bring no text."""

    def push(self, token_ids: Iterable[int]) -> str:
        """The text that `token_ids` bring, as far as later tokens cannot change it."""
        pieces = []
        for token_id in token_ids:
            if self.stopped:
                break
            self._window.append(token_id)
            pieces.append(self._hold(self._settle(self._decode())))
        return "".join(pieces)

    def finish(self) -> str:
        """What was kept back: an unfinished character, or a stop string's beginning."""
        if self.stopped:
            return ""
        piece = self._hold(self._decode()[self._given :])
        self._window, self._settled, self._given = [], 0, 0
        if not self.stopped:
            piece, self._kept = piece + self._kept, ""
        return piece

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

    def _hold(self, piece: str) -> str:
        """`piece` after what was kept, up to a stop string or what may become one."""
        if not self._stop:
            return piece
        text = self._kept + piece
        found = [at for at in map(text.find, self._stop) if at >= 0]
        if found:
            self.stopped, self._kept = True, ""
            return text[: min(found)]
        kept = max(_overlap(text, stop) for stop in self._stop)
        self._kept = text[len(text) - kept :]
        return text[: len(text) - kept]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`, but not all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
