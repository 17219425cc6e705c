r"""Conversations that do not say who speaks: texts in turn, pairs, or one transcript.

LIMA: `["question", "answer", ...]`. Capybara: `[{"input": .., "output": ..}, ...]`. HH:
`"\n\nHuman: question\n\nAssistant: answer"`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from loray.data.sources.decoding import FaultError, Number, kind_of

PAIR_KEYS = ("input", "output")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):[ \t]?")


def in_turn(texts: Sequence[object]) -> Iterator[dict[str, Any]]:
    """Messages of texts: the first one asks, the second answers, and so on.

    Raises:
        FaultError: one is no text.
    """
    for at, text in enumerate(texts):
        yield _message("assistant" if at % 2 else "user", text, f"text {at + 1}")


def of_pairs(pairs: Sequence[object]) -> Iterator[dict[str, Any]]:
    """Messages of objects that hold a question and its answer each.

    Raises:
        FaultError: one is something else.
    """
    for at, pair in enumerate(pairs, start=1):
        if not isinstance(pair, dict) or set(pair) != set(PAIR_KEYS):
            found = sorted(pair) if isinstance(pair, dict) else kind_of(pair)
            raise FaultError(
                "bad_messages", f"found {found} as pair {at}; wanted {' and '.join(PAIR_KEYS)}"
            )
        yield _message("user", pair["input"], f"the input of pair {at}")
        yield _message("assistant", pair["output"], f"the output of pair {at}")


def messages_of_transcript(text: object, column: str) -> list[dict[str, Any]]:
    """The messages of a text in which `Human:` and `Assistant:` begin paragraphs.

    Raises:
        FaultError: it is no text, or begins otherwise.
    """
    if not isinstance(text, str) or isinstance(text, Number):
        raise FaultError(
            "bad_messages", f"column {column!r} holds {kind_of(text)}; wanted a transcript"
        )
    before, *parts = _TURN.split(text)
    if before.strip() or not parts:
        raise FaultError(
            "bad_messages",
            f"column {column!r} holds text that does not begin with Human: or Assistant:",
        )
    speakers, said = parts[::2], parts[1::2]
    return [
        {"role": SPEAKERS[name], "content": words.rstrip()}
        for name, words in zip(speakers, said, strict=True)
    ]


def _message(role: str, text: object, place: str) -> dict[str, Any]:
    if not isinstance(text, str) or isinstance(text, Number):
        raise FaultError("bad_messages", f"{place} is {kind_of(text)}; wanted text")
    return {"role": role, "content": text}
