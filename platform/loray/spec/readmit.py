"""The `data.readmit` of a spec: rows that a step rejects and a reviewer wants back.

A rule in the spec, no edit of a dataset: the same corpus and spec give the same rows again. A rule
lifts what one step says of a row; the steps after it judge the row as any other.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from loray.spec.base import StrictModel
from loray.spec.steps import Step

REASONS = {
    "length": ("too_few_chars", "too_many_chars"),
    "quality": (
        "mojibake", "too_few_letters", "encoded_blob", "long_word", "truncated", "refusal",
        "answer_echoes_prompt",
    ),
    "repetition": ("repeated_characters", "looping_end", "repeated_lines", "repeated_ngrams"),
    "language": ("language",),
    "toxicity": ("toxicity",),
    "decontamination": ("contaminated",),
}  # fmt: skip
"""Reasons that a reviewer may overrule, by the kind of step that gives them; those of a step of
one's own are its function's."""

UNREADABLE = (
    "malformed_json", "not_an_object", "duplicate_key", "invalid_utf8", "line_too_long",
    "torn_stream", "text_too_long", "malformed_csv", "wrong_number_of_fields", "missing_field",
    "field_not_text", "lone_surrogate", "bad_messages", "unknown_role", "no_answer", "bad_tools",
    "unknown_message_field", "content_not_text", "bad_arguments",
)  # fmt: skip
"""Reasons of rows without turns."""
FINAL = {
    **dict.fromkeys(UNREADABLE, "no turns could be read; mend the source"),
    **dict.fromkeys(
        ("empty_prompt", "empty_completion", "empty_text"), "nothing is left to learn from"
    ),
    **dict.fromkeys(
        ("exact_duplicate", "near_duplicate"),
        "another row is kept in its stead; change the step that compares them",
    ),
    "too_long": "it does not fit; raise data.sequence.max_tokens, or cut_prompt by "
    "data.sequence.too_long",
    "chat_template": "the template cannot render it; set data.chat.template, or mend the source",
    "not_drawn": "replay needed no more; raise data.replay.fraction",
}
"""Reasons that no rule brings back, and what to do instead."""

RowId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", examples=["0123456789abcdef"])]


class ReadmitSpec(StrictModel):
    """Keep rows that a step rejects for a reason; they are noted as `readmitted`."""

    reason: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    """The reason as the quarantine has it, of a step of `data.steps`."""
    source: Annotated[str, Field(min_length=1, max_length=4096)] = "*"
    """Glob over the row's source as the quarantine has it, such as `sources.0/*`."""
    ids: Annotated[tuple[RowId, ...], Field(min_length=1)] | None = None
    """Only these rows; all that match when not given."""


def refusal_of(reason: str, steps: Sequence[Step]) -> str | None:
    """Why no rule can bring back rows rejected for `reason`; None where one can."""
    if reason in FINAL:
        return f"found {reason!r}, which no rule brings back: {FINAL[reason]}"
    kinds = {step.kind for step in steps}
    if reason in _given_by(kinds) or "own" in kinds:
        return None
    wanted = ", ".join(_given_by(kinds)) or "none, since no step of data.steps rejects by judgement"
    return (
        f"found {reason!r}, which no step of data.steps gives; wanted a reason among: {wanted}; "
        "correct the reason, or add the step"
    )


def _given_by(kinds: Iterable[str]) -> list[str]:
    return sorted(reason for kind in kinds for reason in REASONS.get(kind, ()))
