"""The marks that a model puts around its reasoning, by its tokenizer; needs no torch.

They are added tokens (`<think>` and `</think>`, `[THINK]` and `[/THINK]`, ...), or, where the
tokenizer has none, `<think>` and `</think>` in the text of the chat template.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MEANT = re.compile(r"think|thought|reason", re.IGNORECASE)
OPENINGS = {"START": "END", "start": "end", "BEGIN": "END", "begin": "end", "BOT": "EOT"}
PLAIN = ("<think>", "</think>")
LAST_TOKENS = 16
"""Of a prompt, in which the start of an answer is looked for."""


class ThinkMarks(NamedTuple):
    """What begins and what ends a think block."""

    opening: str
    closing: str
    opening_id: int | None = None
    """The token that is the mark; None where it is ordinary text."""
    closing_id: int | None = None


@lru_cache(maxsize=8)
def think_marks(tokenizer: "PreTrainedTokenizerBase") -> ThinkMarks | None:
    """The marks of a tokenizer; None where its model does not think."""
    numbers = {
        token.content: number
        for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
    }
    for text in sorted(filter(MEANT.search, numbers)):
        for closing in _closings(text):
            if closing in numbers:
                return ThinkMarks(text, closing, numbers[text], numbers[closing])
    source = str(getattr(tokenizer, "chat_template", None) or "")
    return ThinkMarks(*PLAIN) if all(mark in source for mark in PLAIN) else None


def begins_thinking(
    tokenizer: "PreTrainedTokenizerBase", prompt_ids: Sequence[int], marks: ThinkMarks | None
) -> bool:
    """Whether a prompt ends within a think block, which the answer then goes on with."""
    if marks is None:
        return False
    last = tokenizer.decode(list(prompt_ids[-LAST_TOKENS:]), skip_special_tokens=False)
    return str(last).rstrip().endswith(marks.opening)


def without_thought(text: str, marks: ThinkMarks | None) -> str:
    """An answer without the think block that it begins with, if any."""
    if marks is None or not text.lstrip().startswith(marks.opening):
        return text
    _, mark, answer = text.partition(marks.closing)
    return answer.lstrip() if mark else ""


def _closings(opening: str) -> Iterator[str]:
    """How the mark may be called that closes what `opening` opens."""
    yield f"{opening[:1]}/{opening[1:]}"
    for word, other in OPENINGS.items():
        if word in opening:
            yield opening.replace(word, other)
