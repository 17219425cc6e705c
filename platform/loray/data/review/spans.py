"""A token sequence as text, in spans: what is learned, what is context, what is a control token."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from loray.data.sequences.encode import IGNORED
from loray.models.markup import markup_of
from loray.spec.data import ChatSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Span(NamedTuple):
    """Neighbouring tokens of one kind."""

    text: str
    is_learned: bool
    is_control: bool


class Speller:
    """Spells the token ids of one tokenizer."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> None:
        texts = markup_of(tokenizer, chat.template if chat.template != "plain" else "base").texts
        self._control = {tokenizer.convert_tokens_to_ids(text) for text in texts}
        self._backend = tokenizer.backend_tokenizer

    def spans(self, ids: Sequence[int], labels: Sequence[int]) -> list[Span]:
        """The whole sequence; control tokens stand by themselves."""
        kinds = [
            (label != IGNORED, at if token in self._control else -1)
            for at, (token, label) in enumerate(zip(ids, labels, strict=True))
        ]
        return [
            Span(self._text(ids, start, end), is_learned, control >= 0)
            for (is_learned, control), start, end in _runs(kinds)
        ]

    def _text(self, ids: Sequence[int], start: int, end: int) -> str:
        """The text of some tokens; with the one before, since a first word may lose its space."""
        own = self._decoded(ids[start:end])
        if start == 0:
            return own
        before = self._decoded(ids[start - 1 : start])
        both = self._decoded(ids[start - 1 : end])
        return both[len(before) :] if both.startswith(before) else own

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._backend.decode(list(ids), skip_special_tokens=False))


def _runs(kinds: Sequence[tuple[bool, int]]) -> Iterator[tuple[tuple[bool, int], int, int]]:
    """Each kind with the start and end of its run."""
    start = 0
    for kind, members in groupby(kinds):
        end = start + sum(1 for _ in members)
        yield kind, start, end
        start = end
